#include "client/knock/attempts.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "client/source.h"
#include "common/clock.h"

#define PAUSE_MIN (INT64_C(20) * NSEC_PER_MSEC)
#define PAUSE_MAX (INT64_C(500) * NSEC_PER_MSEC)

void attempts_init(struct attempts *a, const struct target *target,
                   const struct address *source, uint16_t port, int64_t start)
{
    *a = (struct attempts){.target = *target, .source = source, .due = start, .pause = PAUSE_MIN};
    target_set_port(&a->target, port);
    for (unsigned i = 0; i < ATTEMPTS_PENDING; i++)
        a->fds[i] = -1;
}

static void drop(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void attempts_begin(struct attempts *a, int64_t now)
{
    int *place = &a->fds[a->next];

    if (now < a->due)
        return;
    drop(place);
    *place = a->unseen ? source_connect_unseen(&a->target, a->source)
                       : source_connect(&a->target, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP,
                                        a->source);
    if (*place < 0)
        a->error = errno;
    a->next = (a->next + 1) % ATTEMPTS_PENDING;
    a->begun = true;
    a->due = now + a->pause;
    a->pause = a->pause * 2 < PAUSE_MAX ? a->pause * 2 : PAUSE_MAX;
}

void attempts_hurry(struct attempts *a, int64_t now)
{
    if (!a->begun)
        return;
    a->due = now;
    a->pause = PAUSE_MIN;
}

void attempts_before_poll(const struct attempts *a, struct pollfd polled[static ATTEMPTS_PENDING])
{
    for (unsigned i = 0; i < ATTEMPTS_PENDING; i++)
        polled[i] = (struct pollfd){.fd = a->fds[i], .events = POLLOUT};
}

/* Whether a socket that poll(2) has reported is connected (EINPROGRESS in connect(2)). False with
 * errno. */
static bool is_connected(int fd)
{
    int failure = 0;
    socklen_t size = sizeof failure;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0)
        errno = failure;
    return errno == 0;
}

int attempts_after_poll(struct attempts *a, const struct pollfd polled[static ATTEMPTS_PENDING])
{
    for (unsigned i = 0; i < ATTEMPTS_PENDING; i++) {
        int fd = a->fds[i];

        if (fd < 0 || polled[i].fd != fd || polled[i].revents == 0)
            continue;
        if (is_connected(fd)) {
            a->fds[i] = -1;
            return fd;
        }
        a->error = errno;
        drop(&a->fds[i]);
    }
    return -1;
}

void attempts_end(struct attempts *a)
{
    for (unsigned i = 0; i < ATTEMPTS_PENDING; i++)
        drop(&a->fds[i]);
}
