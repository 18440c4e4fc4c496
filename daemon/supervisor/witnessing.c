#include "daemon/supervisor/witnessing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "privsep/event.h"
#include "privsep/granttable.h"
#include "privsep/witnessmessage.h"
#include "privsep/xtables/bell.h"

enum {
    EVENTS_ROOM = 32 << 20, /* bytes: some 20,000 events, which may wait for the witness */
    UNTABLED = 1024,        /* uses of grants that are not in the table any more, or not yet */
};

/* ---- before the helper -------------------------------------------------- */

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool witnessing_begin(struct witnessing *new)
{
    const int room = EVENTS_ROOM;
    int between[2];

    *new = (struct witnessing){.helper = -1, .witness = -1, .bell = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, between) != 0) {
        log_warn("cannot make a socket pair");
        return false;
    }
    new->helper = between[0];
    new->witness = between[1];
    if (setsockopt(new->helper, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
        setsockopt(new->helper, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    new->bell = bell_open(&new->no_bell); /* it is not always needed */
    return true;
}

void witnessing_end(struct witnessing *new)
{
    close_if_open(&new->helper);
    close_if_open(&new->witness);
    close_if_open(&new->bell);
}

int witnessing_open_uses(const struct config *config, bool is_known)
{
    const off_t size = (off_t)((config->max_grants + UNTABLED) * sizeof(struct use));
    char path[CONFIG_PATH_SIZE + sizeof "/" USES_FILE];
    struct stat s;
    int fd;

    snprintf(path, sizeof path, "%s/" USES_FILE, config->run_directory);
    if (!is_known) /* a witness whose daemon was killed may still write into the old file */
        unlink(path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode) &&
        (errno = posix_fallocate(fd, 0, size)) == 0)
        return fd;
    log_warn("cannot make %s", path);
    close_if_open(&fd);
    return -1;
}

/* ---- the witness -------------------------------------------------------- */

static int open_table(const struct config *config)
{
    int directory = pair_open_helper_directory(config);
    int table = directory < 0 ? -1
                              : openat(directory, GRANTTABLE_FILE,
                                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    close_if_open(&directory);
    return table;
}

static bool tell_setup(int witness, const struct config *config, const struct pair_options *options)
{
    struct witness_setup setup = {.uid = config->witness_uid, .gid = config->witness_gid,
                                  .foreground = options->foreground, .debug = options->debug};

    snprintf(setup.empty, sizeof setup.empty, "%s/empty", config->run_directory);
    return send(witness, &setup, sizeof setup, MSG_NOSIGNAL) == sizeof setup;
}

/* Of a table that nobody else can change, the kernel would only tell what the helper does: each
 * knock would have to wait while the witness is woken for it. */
bool witnessing_start(struct witnessing *new, struct pair *pair, int plan,
                      const struct config *config, const struct pair_options *options)
{
    const bool listens = config->backend_in_use != BACKEND_LEGACY && !pair->owned;
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC), table = open_table(config);
    const int inherited[] = {new->witness, pair->news, listens ? new->bell : nothing, plan,
                             table, pair->uses};

    if (listens && new->bell < 0)
        log_warnx("%s", new->no_bell.text);
    else if (nothing >= 0 && table >= 0)
        pair->witness = pair_start_program(PORTSMITH_WITNESS, &pair->questions, inherited,
                                           sizeof inherited / sizeof *inherited);
    if (pair->witness != 0 && !tell_setup(pair->questions, config, options))
        log_warn("cannot tell the witness what it has to know");
    else if (pair->witness == 0)
        log_warnx("the witness did not start");
    close_if_open(&nothing);
    close_if_open(&table);
    return pair->witness != 0;
}
