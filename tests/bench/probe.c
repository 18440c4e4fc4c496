/* Knocks, and finds out when the port opens.
 *
 *   probe latency ADDRESS PORT MILLISECONDS [EVERY] < ATTEMPT   one line; it tries EVERY so many
 *                                                       microseconds at first, in place of 25
 *   probe series ADDRESS PORT MILLISECONDS < ATTEMPTS   the same, one after the other
 *   probe paced ADDRESS PORT MILLISECONDS RATE < ATTEMPTS   the same, so many a second at most, of
 *                                                       which it reads one at a time
 *   probe crowd ADDRESS PORT MILLISECONDS < ATTEMPTS    all of them at once
 *   probe send ADDRESS < ATTEMPTS                       and no more than that
 *
 * An attempt is a line: the address to come from, then what to send, in order:
 * KNOCK-PORT:HEX, a datagram each. All but `send` print a line for each: the
 * microseconds from when the last datagram of the attempt began to leave until the
 * first TCP connection to PORT was accepted, or "never" after MILLISECONDS. */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/endpoint.h"

enum {
    DATAGRAMS_MAX = 8,
    DATAGRAM_SIZE = 1500,
    LINE_SIZE = 1 << 15,
    ATTEMPTS_MAX = 16384,
    TRIES_MAX = 16384,
    STOCK = 8,            /* sockets ready for each of a crowd */
    EVERY_US = 25,        /* a connection, at first */
    GRAIN = 256,          /* and then so many times in the time that has passed */
    READY = 512,          /* sockets, so that a connection is one system call */
    /* Of very many knocks. A door that counts connections admits three packets for each: these it
     * does not use up while it is being opened. */
    PACED_EVERY_US = 500,
    PACED_READY = 16,
};

struct datagram {
    uint16_t port;
    size_t size;
    uint8_t bytes[DATAGRAM_SIZE];
};

struct attempt {
    union endpoint from;
    int socket; /* bound to `from` */
    int door, stock[STOCK]; /* of a crowd: the connection under way, or -1; for the next */
    size_t stocked;
    size_t count;
    struct datagram *datagrams;
    int64_t sent, opened; /* microseconds; 0: not yet */
};

/* Connections under way from one address. */
struct tries {
    int poll;
    size_t ready, count; /* sockets; those of them with a connection */
    int sockets[TRIES_MAX];
    int64_t next, every; /* microseconds */
};

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- attempts ----------------------------------------------------------- */

static void read_datagram(struct datagram *d, const char *word)
{
    const char *hex = strchr(word, ':');
    unsigned byte;
    int used;

    if (!hex)
        errx(2, "'%s' is not PORT:HEX", word);
    d->port = (uint16_t)atoi(word);
    for (hex++; d->size < DATAGRAM_SIZE && sscanf(hex, "%2x%n", &byte, &used) == 1; hex += used)
        d->bytes[d->size++] = (uint8_t)byte;
}

static int socket_from(const union endpoint *from, int kind)
{
    int s = socket(from->any.sa_family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (s < 0 || bind(s, &from->any, endpoint_size(from)) != 0)
        err(1, "cannot speak from a client's address");
    return s;
}

static bool read_attempt(struct attempt *a)
{
    static char line[LINE_SIZE];
    char *rest = line, *word;

    if (!fgets(line, sizeof line, stdin))
        return false;
    word = strtok_r(rest, " \n", &rest);
    if (!word || !endpoint_read(&a->from, word))
        errx(2, "a line begins with an address");
    a->datagrams = calloc(DATAGRAMS_MAX, sizeof *a->datagrams);
    if (!a->datagrams)
        err(1, "no memory");
    while (a->count < DATAGRAMS_MAX && (word = strtok_r(NULL, " \n", &rest)))
        read_datagram(&a->datagrams[a->count++], word);
    a->socket = socket_from(&a->from, SOCK_DGRAM);
    a->door = -1;
    return true;
}

static void send_attempt(struct attempt *a, const union endpoint *server)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct datagram *d = &a->datagrams[i];
        union endpoint to = endpoint_at(*server, d->port);

        a->sent = now_us();
        if (sendto(a->socket, d->bytes, d->size, 0, &to.any, endpoint_size(&to)) < 0 &&
            errno != ECONNREFUSED)
            warn("cannot send");
    }
}

/* ---- connections -------------------------------------------------------- */

static void begin_tries(struct tries *t, int64_t every)
{
    t->poll = epoll_create1(EPOLL_CLOEXEC);
    t->every = every;
    t->ready = t->count = 0;
    t->next = 0;
}

static void make_ready(struct tries *t, const union endpoint *from, size_t count)
{
    while (t->ready < count)
        t->sockets[t->ready++] = socket_from(from, SOCK_STREAM);
}

static void end_tries(struct tries *t)
{
    for (size_t i = 0; i < t->ready; i++)
        close(t->sockets[i]);
    close(t->poll);
}

/* True when it is accepted at once. */
static bool try(struct tries *t, const union endpoint *from, const union endpoint *to)
{
    struct epoll_event event = {.events = EPOLLOUT};
    int s;

    make_ready(t, from, t->count + 1);
    event.data.fd = s = t->sockets[t->count++];
    if (connect(s, &to->any, endpoint_size(to)) == 0)
        return true;
    if (errno != EINPROGRESS)
        err(1, "cannot connect");
    epoll_ctl(t->poll, EPOLL_CTL_ADD, s, &event);
    return false;
}

static void check_connection(int s)
{
    socklen_t size = sizeof(int);
    int error = 0;

    getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
        errx(1, "the port is not silent when it is shut: %s", strerror(error));
}

static bool one_is_accepted(const struct tries *t)
{
    struct epoll_event event;

    if (epoll_wait(t->poll, &event, 1, 0) != 1)
        return false;
    check_connection(event.data.fd);
    return true;
}

/* Begins connections, ever more slowly, so that the peers that take long are not held
 * up by them, until one is accepted or it is `until`. */
static bool opens(struct attempt *a, const union endpoint *to, struct tries *t, int64_t until)
{
    for (int64_t now = now_us(); now < until; now = now_us()) {
        if (now >= t->next && t->count < TRIES_MAX) {
            int64_t pause = (now - a->sent) / GRAIN;

            t->next = now + (pause > t->every ? pause : t->every);
            if (try(t, &a->from, to)) {
                a->opened = now_us();
                return true;
            }
        }
        if (one_is_accepted(t)) {
            a->opened = now_us();
            return true;
        }
        if (t->next - now > 4 * EVERY_US)
            usleep(EVERY_US);
    }
    return false;
}

static void print_attempt(const struct attempt *a)
{
    if (a->opened)
        printf("%lld\n", (long long)(a->opened - a->sent));
    else
        puts("never");
}

/* ---- one, or a crowd ---------------------------------------------------- */

static void measure_one(struct attempt *a, const union endpoint *to, int64_t patience,
                        int64_t every, size_t ready)
{
    static struct tries tries;

    begin_tries(&tries, every);
    make_ready(&tries, &a->from, ready);
    send_attempt(a, to);
    opens(a, to, &tries, a->sent + patience);
    end_tries(&tries);
    print_attempt(a);
}

static bool is_accepted(int s)
{
    struct pollfd door = {.fd = s, .events = POLLOUT};

    if (s < 0 || poll(&door, 1, 0) != 1)
        return false;
    check_connection(s);
    return true;
}

/* One more connection, unless the last one was accepted meanwhile. Over veth(4) the
 * answer is there when connect(2) returns. */
static void try_door(struct attempt *a, const union endpoint *to)
{
    if (!is_accepted(a->door)) {
        if (a->door >= 0)
            close(a->door);
        a->door = a->stocked > 0 ? a->stock[--a->stocked] : socket_from(&a->from, SOCK_STREAM);
        if (connect(a->door, &to->any, endpoint_size(to)) != 0 && errno != EINPROGRESS)
            err(1, "cannot connect");
        if (!is_accepted(a->door))
            return;
    }
    a->opened = now_us();
    close(a->door);
}

/* In turn: whoever is not let in yet is asked again when the others were. What is
 * printed counts from the first datagram of all. */
static void measure_crowd(struct attempt *all, size_t count, const union endpoint *to,
                          int64_t patience)
{
    bool waiting = true;
    int64_t start;

    for (size_t i = 0; i < count; i++)
        while (all[i].stocked < STOCK)
            all[i].stock[all[i].stocked++] = socket_from(&all[i].from, SOCK_STREAM);
    start = now_us();
    for (size_t i = 0; i < count; i++)
        send_attempt(&all[i], to);
    for (size_t i = 0; i < count; i++)
        all[i].sent = start;
    while (waiting && now_us() < start + patience) {
        waiting = false;
        for (size_t i = 0; i < count; i++) {
            if (!all[i].opened)
                try_door(&all[i], to);
            waiting = waiting || !all[i].opened;
        }
        usleep((useconds_t)((now_us() - start) / GRAIN));
    }
    for (size_t i = 0; i < count; i++)
        print_attempt(&all[i]);
}

/* Whoever is measured has the right of way: this one is never done trying. Who gave it a priority
 * has seen to that. */
static void give_way(void)
{
    const struct sched_param none = {.sched_priority = 0};

    if (sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_IDLE, &none) != 0)
        err(1, "cannot give way");
}

/* Those of the one line after the other, each when it is due or as soon as the last one is over. */
static void measure_paced(const union endpoint *to, int64_t patience, int rate)
{
    int64_t start = now_us(), due = start;
    struct attempt a = {.sent = 0};

    for (int64_t i = 1; read_attempt(&a); i++, due = start + i * 1000000 / rate) {
        int64_t early = due - now_us();

        if (early > 0)
            usleep((useconds_t)early);
        measure_one(&a, to, patience, PACED_EVERY_US, PACED_READY);
        close(a.socket);
        free(a.datagrams);
        a = (struct attempt){.sent = 0};
    }
}

static size_t read_attempts(struct attempt attempts[static ATTEMPTS_MAX])
{
    size_t count = 0;

    while (count < ATTEMPTS_MAX && read_attempt(&attempts[count]))
        count++;
    return count;
}

int main(int argc, char **argv)
{
    static struct attempt attempts[ATTEMPTS_MAX];
    const struct rlimit many = {2 * TRIES_MAX + 64, 2 * TRIES_MAX + 64};
    bool sends_only = argc == 3 && strcmp(argv[1], "send") == 0;
    int last = argc == 6 ? atoi(argv[5]) : 0;
    union endpoint to;
    size_t count;
    int64_t patience;

    if ((argc != 5 && argc != 6 && !sends_only) || !endpoint_read(&to, argv[2]))
        errx(2, "usage: probe latency|series|crowd ADDRESS PORT MILLISECONDS [EVERY]; "
                "probe paced ADDRESS PORT MILLISECONDS RATE; probe send ADDRESS");
    setrlimit(RLIMIT_NOFILE, &many);
    if (!sends_only)
        to = endpoint_at(to, (uint16_t)atoi(argv[3]));
    patience = sends_only ? 0 : (int64_t)atoi(argv[4]) * 1000;
    if (strcmp(argv[1], "paced") == 0 && last > 0) {
        give_way();
        measure_paced(&to, patience, last);
        return 0;
    }
    count = read_attempts(attempts);
    if (sends_only) {
        for (size_t i = 0; i < count; i++)
            send_attempt(&attempts[i], &to);
        return 0;
    }
    give_way();
    if (strcmp(argv[1], "crowd") == 0)
        measure_crowd(attempts, count, &to, patience);
    else if (count == 1 || strcmp(argv[1], "series") == 0)
        for (size_t i = 0; i < count; i++)
            measure_one(&attempts[i], &to, patience, last > 0 ? last : EVERY_US, READY);
    return 0;
}
