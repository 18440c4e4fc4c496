#include "daemon/supervisor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    BACKLOG = 32,
    SILENCE_SECONDS = 2,  /* that a client has from connecting to asking */
    SERVICE_SECONDS = 30, /* that a client waits from asking to the answer, at most */
    ACCEPTS_AT_ONCE = 64,
    GROUPS_MAX = 65536, /* NGROUPS_MAX, limits.h */
};

static int64_t seconds_from_now(int seconds)
{
    return clock_boot_ns() + (int64_t)seconds * NSEC_PER_SEC;
}

/* ---- the socket --------------------------------------------------------- */

/* Makes the socket's file. The kernel gives it the process's group and mode, so there is no
 * moment at which it has others. */
static bool bind_as_group(const struct control *control, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    bool bound;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(address.sun_path, path);
    if (control->is_shared && setegid(control->group) != 0)
        return false;
    mask = umask(control->is_shared ? 0117 : 0177);
    bound = bind(control->listener, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    if (control->is_shared && setegid(0) != 0)
        fatal("cannot be of group 0 again");
    return bound;
}

/* Puts the new socket in the place of the old one. A run directory that is setgid would have given
 * it another group than was meant: then it is not used. */
static bool put_in_place(const struct control *control, const char *new, struct error *why)
{
    struct stat s;

    if (lstat(new, &s) != 0 || !S_ISSOCK(s.st_mode) || s.st_uid != 0 ||
        (s.st_mode & 07777) != (control->is_shared ? 0660u : 0600u) ||
        (control->is_shared && s.st_gid != control->group))
        return error_set(why, "%s: its group or mode is not what was asked for: is the run "
                              "directory setgid?", new);
    return renameat(AT_FDCWD, new, AT_FDCWD, control->path) == 0 ||
           error_set(why, "%s: %s", control->path, strerror(errno));
}

bool control_open(struct control *control, const struct config *config, struct error *why)
{
    char new[sizeof control->path + sizeof ".new"];

    *control = (struct control){.listener = -1, .group = config->control_gid,
                                .is_shared = config->control_group[0] != '\0'};
    snprintf(control->path, sizeof control->path, "%s/%s", config->run_directory,
             CONTROL_SOCKET);
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        control->clients[i].fd = -1;
    snprintf(new, sizeof new, "%s.new", control->path);
    unlink(new); /* a daemon that was killed just here has left it */
    control->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->listener < 0 || !bind_as_group(control, new) ||
        listen(control->listener, BACKLOG) != 0)
        error_set(why, "%s: %s", new, strerror(errno));
    else if (put_in_place(control, new, why))
        return true;
    unlink(new);
    if (control->listener >= 0)
        close(control->listener);
    control->listener = -1;
    return false;
}

/* ---- who it is ---------------------------------------------------------- */

/* Whether the peer has the group, as its own or as a supplementary one. */
static bool is_in_group(int fd, const struct ucred *peer, gid_t group)
{
    socklen_t size = 0;
    gid_t *groups;
    bool found = peer->gid == group;

    if (found)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE ||
        size > GROUPS_MAX * sizeof *groups || !(groups = malloc(size)))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
        for (size_t i = 0; i < size / sizeof *groups; i++)
            found |= groups[i] == group;
    free(groups);
    return found;
}

/* Whether the peer may ask anything: root may, and so may members of the control group. */
static bool may_connect(const struct control *control, int fd, bool *is_root)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer)
        return false;
    *is_root = peer.uid == 0;
    return *is_root || (control->is_shared && is_in_group(fd, &peer, control->group));
}

/* ---- clients ------------------------------------------------------------ */

static void hang_up(struct control_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    *client = (struct control_client){.fd = -1};
}

static bool is_before(const struct control_client *a, const struct control_client *b)
{
    return (int32_t)(a->arrival - b->arrival) < 0;
}

/* Returns the client in that state that came first, or NULL. */
static struct control_client *first_of(struct control *control, enum control_state state)
{
    struct control_client *first = NULL;

    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];

        if (client->fd >= 0 && client->state == state && (!first || is_before(client, first)))
            first = client;
    }
    return first;
}

/* Hangs up on the silent client, of root's or of the others, that came first, and returns its
 * place; NULL: there is none. */
static struct control_client *make_place_of(struct control *control, bool is_root)
{
    struct control_client *silent = NULL;

    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];

        if (client->fd >= 0 && client->state == CONTROL_SILENT && client->is_root == is_root &&
            (!silent || is_before(client, silent)))
            silent = client;
    }
    if (silent)
        hang_up(silent);
    return silent;
}

/* Returns a place for a new client, or NULL. Where no place is free, or members of the group have
 * all of theirs, a silent client must go. One of root's goes only for root. */
static struct control_client *make_place(struct control *control, bool is_root)
{
    struct control_client *place = NULL;
    size_t members = 0;

    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];

        members += client->fd >= 0 && !client->is_root;
        if (client->fd < 0)
            place = client;
    }
    if (place && (is_root || members < CONTROL_MEMBERS))
        return place;
    place = make_place_of(control, false);
    return place || !is_root ? place : make_place_of(control, true);
}

/* Whether a request's profile is a name or empty, with nothing but zeros behind it. */
static bool is_profile_name(const char name[static CONTROL_NAME_SIZE])
{
    static const char zeros[CONTROL_NAME_SIZE];
    size_t length = strnlen(name, CONTROL_NAME_SIZE);

    return length < POLICY_NAME_SIZE &&
           memcmp(name + length, zeros, CONTROL_NAME_SIZE - length) == 0 &&
           (length == 0 || profile_name_is_valid(name));
}

bool control_request_is_canonical(const struct control_request *r)
{
    bool has_name = r->profile[0] != '\0';

    if (!is_profile_name(r->profile) || r->kill > 1)
        return false;
    switch (r->verb) {
    case CONTROL_STATUS:
    case CONTROL_RELOAD:
    case CONTROL_RELEASE:
        return !r->scope && !r->id && !r->kill && !has_name;
    case CONTROL_LIST:
        return !r->scope && !r->kill && !has_name;
    case CONTROL_CLOSE:
        return r->scope >= HELPER_SCOPE_ID && r->scope <= HELPER_SCOPE_ALL &&
               (r->scope == HELPER_SCOPE_ID) == (r->id != 0) &&
               (r->scope == HELPER_SCOPE_PROFILE) == has_name;
    case CONTROL_REVOKE:
        return r->scope == HELPER_SCOPE_PROFILE && !r->id && r->kill == 1 && has_name;
    default:
        return false;
    }
}

/* Takes in a client's request, if it has come. A client that hangs up, asks what cannot be asked,
 * or says anything more is hung up on. */
static void hear(struct control_client *client)
{
    ssize_t n = recv(client->fd, &client->request, sizeof client->request,
                     MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (client->state != CONTROL_SILENT || n != sizeof client->request ||
        !control_request_is_canonical(&client->request)) {
        hang_up(client);
        return;
    }
    client->state = CONTROL_WAITS;
    client->until = seconds_from_now(SERVICE_SECONDS);
}

/* Takes in a new client, or hangs up on it. False when nobody waits to connect. */
static bool admit(struct control *control)
{
    int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct control_client *client;
    bool is_root;

    if (fd < 0)
        return errno == ECONNABORTED || errno == EINTR;
    if (!may_connect(control, fd, &is_root) || !(client = make_place(control, is_root))) {
        close(fd);
        return true;
    }
    *client = (struct control_client){.fd = fd, .is_root = is_root, .arrival = control->arrivals++,
                                      .until = seconds_from_now(SILENCE_SECONDS)};
    hear(client);
    return true;
}

size_t control_poll(const struct control *control, struct pollfd fds[static CONTROL_FDS])
{
    fds[0] = (struct pollfd){.fd = control->listener, .events = POLLIN};
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        fds[i + 1] = (struct pollfd){.fd = control->clients[i].fd, .events = POLLIN};
    return CONTROL_FDS;
}

void control_serve(struct control *control)
{
    int64_t now = clock_boot_ns();

    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct control_client *client = &control->clients[i];

        if (client->fd >= 0)
            hear(client);
        if (client->fd >= 0 && now >= client->until)
            hang_up(client);
    }
    for (int i = 0; i < ACCEPTS_AT_ONCE && control->listener >= 0 && admit(control); i++)
        ;
}

struct control_client *control_next(struct control *control)
{
    return first_of(control, CONTROL_WAITS);
}

struct control_client *control_asked(struct control *control)
{
    return first_of(control, CONTROL_ASKED);
}

void control_ask_again(struct control *control)
{
    struct control_client *client = control_asked(control);

    if (client)
        client->state = CONTROL_WAITS;
}

void control_reply(struct control_client *client, const struct control_reply *reply)
{
    send(client->fd, reply, sizeof *reply, MSG_DONTWAIT | MSG_NOSIGNAL);
    hang_up(client);
}

int64_t control_next_end(const struct control *control)
{
    int64_t next = 0;

    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0 && (next == 0 || control->clients[i].until < next))
            next = control->clients[i].until;
    return next;
}

void control_close(struct control *control)
{
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        hang_up(&control->clients[i]);
    if (control->listener < 0)
        return;
    unlink(control->path);
    close(control->listener);
    control->listener = -1;
}
