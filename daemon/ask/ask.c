#include "daemon/ask/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000, PAGES_MAX = 100000 };

/* ---- one question ------------------------------------------------------- */

/* Says why the caller may not ask. `only_root`: the request is root's alone. */
static enum ask_result tell_forbidden(const struct config *config, bool only_root,
                                      struct error *why)
{
    if (geteuid() == 0)
        error_set(why, "permission denied, though this is root: a user namespace, AppArmor or "
                       "SELinux keeps it from asking");
    else if (only_root)
        error_set(why, "must be run as root");
    else if (config->control_group[0] != '\0')
        error_set(why, "must be run as root, or by a member of the group %s",
                  config->control_group);
    else
        error_set(why, "must be run as root; ControlGroup in portsmith.conf can let a group in, "
                       "too");
    return ASK_FORBIDDEN;
}

/* Says, by errno, why there is no connection. */
static enum ask_result tell_no_connection(const struct config *config, const char *path,
                                          struct error *why)
{
    if (errno == EACCES || errno == EPERM)
        return tell_forbidden(config, false, why);
    if (errno == ENOENT || errno == ECONNREFUSED) {
        error_set(why, "portsmithd is not running with this configuration: there is no socket at "
                       "%s", path);
        return ASK_NOT_RUNNING;
    }
    error_set(why, "%s: %s", path, strerror(errno));
    return ASK_FAILED;
}

/* Connects to portsmithd. *fd is to be closed in any case, unless it is -1. */
static enum ask_result connect_to(const struct config *config, int *fd, struct error *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[CONFIG_PATH_SIZE + sizeof CONTROL_SOCKET];

    snprintf(path, sizeof path, "%s/%s", config->run_directory, CONTROL_SOCKET);
    *fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof address.sun_path)
        errno = ENAMETOOLONG;
    else if (*fd >= 0) {
        strcpy(address.sun_path, path);
        if (connect(*fd, (const struct sockaddr *)&address, sizeof address) == 0)
            return ASK_DONE;
    }
    return tell_no_connection(config, path, why);
}

/* Waits for the reply. A reload, a release and a revocation may take any time. */
static enum ask_result await_reply(int fd, const struct control_request *request,
                                   struct control_reply *reply, struct error *why)
{
    bool is_slow = request->verb == CONTROL_RELOAD || request->verb == CONTROL_RELEASE ||
                   request->verb == CONTROL_REVOKE;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n;

    if (poll(&p, 1, is_slow ? -1 : PATIENCE_MS) < 1) {
        if (errno == EINTR)
            error_set(why, "interrupted");
        else
            error_set(why, "portsmithd does not answer; see its log, or restart it");
        return ASK_FAILED;
    }
    n = recv(fd, reply, sizeof *reply, MSG_TRUNC);
    if (n == sizeof *reply && reply->verb == request->verb && reply->count <= CONTROL_GRANTS)
        return ASK_DONE;
    error_set(why, n > 0 ? "portsmithd and portsmithctl are not of the same version: restart "
                           "portsmithd"
                         : "portsmithd hung up without an answer: it may not let you ask, has too "
                           "much to do, or is of another version");
    return ASK_FAILED;
}

/* What a reply means. */
static enum ask_result judge(const struct config *config, struct control_reply *reply,
                             struct error *why)
{
    reply->text[CONTROL_TEXT_SIZE - 1] = '\0';
    switch (reply->result) {
    case CONTROL_DONE:
        return ASK_DONE;
    case CONTROL_FORBIDDEN:
        return tell_forbidden(config, true, why);
    case CONTROL_RESTARTING:
        error_set(why, "portsmithd is starting its helper again: try again in a moment, or see "
                       "the log");
        return ASK_RESTARTING;
    default:
        error_set(why, "%s", reply->text);
        return ASK_FAILED;
    }
}

enum ask_result ask(const struct config *config, const struct control_request *request,
                    struct control_reply *reply, struct error *why)
{
    enum ask_result result;
    int fd;

    memset(reply, 0, sizeof *reply);
    result = connect_to(config, &fd, why);
    if (result == ASK_DONE) {
        errno = 0;
        if (send(fd, request, sizeof *request, MSG_NOSIGNAL) == sizeof *request || errno == EPIPE)
            result = await_reply(fd, request, reply, why);
        else
            result = tell_no_connection(config, CONTROL_SOCKET, why);
    }
    if (fd >= 0)
        close(fd);
    return result == ASK_DONE ? judge(config, reply, why) : result;
}

/* ---- all grants --------------------------------------------------------- */

static bool add_page(struct control_grant **grants, size_t *count,
                     const struct control_reply *page)
{
    size_t size = (*count + page->count) * sizeof **grants;
    struct control_grant *more = realloc(*grants, size ? size : 1);

    if (!more)
        return false;
    memcpy(more + *count, page->grants, page->count * sizeof *more);
    *grants = more;
    *count += page->count;
    return true;
}

enum ask_result ask_grants(const struct config *config, struct control_grant **grants,
                           size_t *count, struct error *why)
{
    struct control_request request = {.verb = CONTROL_LIST};
    struct control_reply reply;
    enum ask_result result = ASK_DONE;

    *grants = NULL;
    *count = 0;
    for (int page = 0; page < PAGES_MAX; page++) {
        result = ask(config, &request, &reply, why);
        if (result == ASK_DONE && !add_page(grants, count, &reply)) {
            error_set(why, "no memory for the grants");
            result = ASK_FAILED;
        }
        if (result != ASK_DONE || !reply.more || reply.count == 0)
            break;
        request.id = reply.grants[reply.count - 1].id;
    }
    return result;
}
