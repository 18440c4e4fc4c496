#include "client/knock/relay.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One direction. */
struct stream {
    const char *name; /* for errors */
    int from, to;     /* -1 once that end is done with */
    bool closes;      /* `to` is to be closed, not only shut */
    size_t start, end; /* of the bytes that are held */
    char bytes[32 * 1024];
};

static bool is_again(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* A pipe that takes anything takes so much without blocking (pipe(7)); a socket is
 * asked not to block. */
static ssize_t write_some(int fd, const char *bytes, size_t size)
{
    ssize_t done = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (done >= 0 || errno != ENOTSOCK)
        return done;
    return write(fd, bytes, size < PIPE_BUF ? size : PIPE_BUF);
}

static ssize_t read_some(int fd, char *bytes, size_t size)
{
    ssize_t done = recv(fd, bytes, size, MSG_DONTWAIT);

    return done >= 0 || errno != ENOTSOCK ? done : read(fd, bytes, size);
}

static bool fill(struct stream *s, struct error *why)
{
    ssize_t done = read_some(s->from, s->bytes, sizeof s->bytes);

    if (done < 0)
        return is_again() || error_set(why, "%s: %s", s->name, strerror(errno));
    s->start = 0;
    s->end = (size_t)done;
    if (done == 0)
        s->from = -1;
    return true;
}

static bool empty(struct stream *s, struct error *why)
{
    ssize_t done = write_some(s->to, s->bytes + s->start, s->end - s->start);

    if (done < 0)
        return is_again() || error_set(why, "%s: %s", s->name, strerror(errno));
    s->start += (size_t)done;
    return true;
}

/* Passes the end on: all before it is written, or it would not have been read. */
static void finish(struct stream *s)
{
    if (s->from >= 0 || s->to < 0)
        return;
    shutdown(s->to, SHUT_WR); /* does nothing to what is no socket */
    if (s->closes)
        close(s->to);
    s->to = -1;
}

/* Either end, never both: what is held goes first. poll(2) would report a hang-up
 * that nobody asked for over and over, so the other one is left out. */
static void watch(const struct stream *s, struct pollfd *polled)
{
    if (s->start < s->end)
        *polled = (struct pollfd){.fd = s->to, .events = POLLOUT};
    else
        *polled = (struct pollfd){.fd = s->from, .events = POLLIN};
}

static bool move(struct stream *s, const struct pollfd *polled, struct error *why)
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

    while (up.to >= 0 || down.to >= 0) {
        watch(&up, &polled[0]);
        watch(&down, &polled[1]);
        if (poll(polled, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return error_set(why, "poll: %s", strerror(errno));
        }
        if (!move(&up, &polled[0], why) || !move(&down, &polled[1], why))
            return false;
    }
    return true;
}
