#include "client/knock/relay.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One direction. */
struct stream {
    const char *name;      /* what errors call it */
    int from, to;          /* descriptors; -1: that end is done with */
    bool closes;           /* `to` is to be closed, not only shut */
    size_t start, end;     /* which of `bytes` are held */
    char bytes[32 * 1024]; /* read, and not written yet */
};

static bool is_again(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static bool fill(struct stream *s, struct error *why)
{
    ssize_t done = recv(s->from, s->bytes, sizeof s->bytes, MSG_DONTWAIT);

    if (done < 0 && errno == ENOTSOCK)
        done = read(s->from, s->bytes, sizeof s->bytes);
    if (done < 0)
        return is_again() || error_set(why, "%s: %s", s->name, strerror(errno));
    s->start = 0;
    s->end = (size_t)done;
    if (done == 0)
        s->from = -1;
    return true;
}

/* A socket is asked not to block. A pipe that takes anything takes PIPE_BUF bytes without blocking
 * (pipe(7)). */
static bool empty(struct stream *s, struct error *why)
{
    size_t size = s->end - s->start;
    ssize_t done = send(s->to, s->bytes + s->start, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (done < 0 && errno == ENOTSOCK)
        done = write(s->to, s->bytes + s->start, size < PIPE_BUF ? size : PIPE_BUF);
    if (done < 0)
        return is_again() || error_set(why, "%s: %s", s->name, strerror(errno));
    s->start += (size_t)done;
    return true;
}

/* Passes the end of the stream on, if that was read. All before it is written by then: nothing
 * is read while bytes are held. */
static void finish(struct stream *s)
{
    if (s->from >= 0 || s->to < 0)
        return;
    shutdown(s->to, SHUT_WR); /* without effect on what is no socket */
    if (s->closes)
        close(s->to);
    s->to = -1;
}

/* Has poll(2) wait for the one end that can go on: bytes that are held must be written first.
 * The other end is left out, as poll(2) would report its hang-up over and over. */
static void before_poll(const struct stream *s, struct pollfd *polled)
{
    if (s->start < s->end)
        *polled = (struct pollfd){.fd = s->to, .events = POLLOUT};
    else
        *polled = (struct pollfd){.fd = s->from, .events = POLLIN};
}

static bool after_poll(struct stream *s, const struct pollfd *polled, struct error *why)
{
    bool moved = true;

    if (polled->revents != 0)
        moved = s->start < s->end ? empty(s, why) : fill(s, why);
    if (moved)
        finish(s);
    return moved;
}

bool relay_run(int in, int out, int socket, struct error *why)
{
    struct stream up = {.name = "sending", .from = in, .to = socket};
    struct stream down = {.name = "receiving", .from = socket, .to = out, .closes = true};
    struct pollfd polled[2];

    signal(SIGPIPE, SIG_IGN);
    while (up.to >= 0 || down.to >= 0) {
        before_poll(&up, &polled[0]);
        before_poll(&down, &polled[1]);
        if (poll(polled, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return error_set(why, "poll: %s", strerror(errno));
        }
        if (!after_poll(&up, &polled[0], why) || !after_poll(&down, &polled[1], why))
            return false;
    }
    return true;
}
