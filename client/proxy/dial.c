#include "client/proxy/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "client/source.h"

enum {
    STAGGER_MS = 250,     /* RFC 8305, section 5: the Connection Attempt Delay */
    FIRST_AGAIN_MS = 100, /* between attempts at what is tried again; doubled each round */
    LAST_AGAIN_MS = 1000, /* the longest that it gets */
    SETTLE_MS = 20,       /* from a call of `silent` until what that does can help */
    REFUSED_MS = 2000,    /* how long a refusal may be that of a shut door (ShutWith = reset) */
};

struct dial_attempt {
    uv_tcp_t tcp; /* first: whoever gets the socket frees the whole by it */
    uv_connect_t connect;
    struct dial *dial; /* NULL once the attempt was detached */
    unsigned target;   /* which of the dial's targets */
};

static void launch(struct dial *d);

/* ---- errors -------------------------------------------------------------- */

/* How much an error tells about the destination. The most is that somebody is there, and then
 * that it cannot be reached. */
static int rank(int error)
{
    return error == UV_ECONNREFUSED   ? 4
           : error == UV_EHOSTUNREACH ? 3
           : error == UV_ENETUNREACH  ? 2
           : error != 0               ? 1
                                      : 0;
}

/* Keeps the error, and decides whether the target is tried again. If this machine has lost the
 * address that it connects from (EADDRNOTAVAIL), the next knock is from another one. */
static void mark_failed(struct dial *d, unsigned target, int error)
{
    bool is_early = uv_now(d->loop) - d->began < REFUSED_MS;
    bool may_open = d->again && ((error == UV_ECONNREFUSED && is_early) ||
                                 error == UV_EADDRNOTAVAIL);

    d->is_dead[target] = !may_open;
    if (rank(error) > rank(d->error))
        d->error = error;
}

/* ---- one attempt --------------------------------------------------------- */

static void free_attempt(uv_handle_t *handle)
{
    free(handle);
}

/* Takes the attempt out of its dial. If it was not the only one, there is a descriptor more to
 * spare. */
static void detach(struct dial_attempt *attempt)
{
    struct dial *d = attempt->dial;
    unsigned i = 0;

    while (d->attempts[i] != attempt)
        i++;
    d->in_flight--;
    memmove(&d->attempts[i], &d->attempts[i + 1], (d->in_flight - i) * sizeof(void *));
    if (d->in_flight > 0)
        (*d->spare)++;
    attempt->dial = NULL;
}

static void give_up(struct dial_attempt *attempt)
{
    detach(attempt);
    uv_close((uv_handle_t *)&attempt->tcp, free_attempt);
}

static void finish(struct dial *d, uv_tcp_t *tcp)
{
    dial_stop(d);
    d->done(d, tcp);
}

static bool all_are_dead(const struct dial *d)
{
    for (unsigned i = 0; i < d->count; i++)
        if (!d->is_dead[i])
            return false;
    return true;
}

static void after_connect(uv_connect_t *connect, int status)
{
    struct dial_attempt *attempt = connect->data;
    struct dial *d = attempt->dial;

    if (!d)
        return;
    if (status == 0) {
        detach(attempt);
        finish(d, &attempt->tcp);
        return;
    }
    mark_failed(d, attempt->target, status);
    give_up(attempt);
    if (d->next < d->count)
        launch(d);
    else if (d->in_flight == 0 && all_are_dead(d))
        finish(d, NULL);
}

/* Begins an attempt from `source`, or from where the kernel chooses if that is NULL. NULL with
 * libuv's error. */
static struct dial_attempt *attempt_new(struct dial *d, const struct target *target,
                                        const struct address *source, int *failure)
{
    struct dial_attempt *attempt = calloc(1, sizeof *attempt);
    uv_os_fd_t fd;

    *failure = UV_ENOMEM;
    if (!attempt)
        return NULL;
    *failure = uv_tcp_init_ex(d->loop, &attempt->tcp, target->to.ss_family);
    if (*failure != 0) {
        free(attempt);
        return NULL;
    }
    attempt->connect.data = attempt;
    if (source)
        *failure = uv_fileno((uv_handle_t *)&attempt->tcp, &fd);
    if (source && *failure == 0 && !source_bind(fd, target, source))
        *failure = uv_translate_sys_error(errno);
    if (*failure == 0)
        *failure = uv_tcp_connect(&attempt->connect, &attempt->tcp,
                                  (const struct sockaddr *)&target->to, after_connect);
    if (*failure == 0)
        return attempt;
    uv_close((uv_handle_t *)&attempt->tcp, free_attempt);
    return NULL;
}

/* Begins an attempt that leaves from where the dial wants it to. As in source_connect, the
 * socket is bound only if the kernel chooses another source. */
static struct dial_attempt *attempt_from_source(struct dial *d, const struct target *target,
                                                int *failure)
{
    struct dial_attempt *attempt = attempt_new(d, target, NULL, failure);
    struct address source;
    uv_os_fd_t fd;

    if (!attempt || !d->find_source || !d->find_source(d, target, &source) ||
        (uv_fileno((uv_handle_t *)&attempt->tcp, &fd) == 0 && source_is(fd, &source)))
        return attempt;
    uv_close((uv_handle_t *)&attempt->tcp, free_attempt);
    return attempt_new(d, target, &source, failure);
}

static bool attempt_start(struct dial *d, unsigned target)
{
    int failure;
    struct dial_attempt *attempt = attempt_from_source(d, &d->targets[target], &failure);

    if (!attempt) {
        mark_failed(d, target, failure);
        return false;
    }
    attempt->target = target;
    attempt->dial = d;
    if (d->in_flight > 0)
        (*d->spare)--;
    d->attempts[d->in_flight++] = attempt;
    return true;
}

/* ---- one after the other ------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    launch(timer->data);
}

static void arm(struct dial *d)
{
    uint64_t wait = STAGGER_MS;

    if (d->again)
        wait = d->round < 4 ? (uint64_t)FIRST_AGAIN_MS << d->round : LAST_AGAIN_MS;
    uv_timer_start(&d->timer, on_timer, wait, 0);
}

/* Tries the next target that is not dead, or begins the next round. Ends the dial if nothing is
 * left to hope for. */
static void launch(struct dial *d)
{
    if (d->next >= d->count && d->again && !all_are_dead(d)) {
        d->round++;
        d->next = 0;
        d->silent(d);
        uv_timer_start(&d->timer, on_timer, SETTLE_MS, 0);
        return;
    }
    while (d->next < d->count) {
        unsigned target = d->next++;

        if (d->is_dead[target])
            continue;
        /* The oldest attempt makes room: its SYN is lost by now, or its way is a bad one. */
        if (d->in_flight == DIAL_ATTEMPTS || (d->in_flight > 0 && *d->spare == 0))
            give_up(d->attempts[0]);
        if (attempt_start(d, target)) {
            arm(d);
            return;
        }
    }
    if (d->in_flight == 0 && all_are_dead(d))
        finish(d, NULL);
    else if (d->again)
        arm(d);
}

void dial_init(struct dial *dial, uv_loop_t *loop, unsigned *spare)
{
    *dial = (struct dial){.loop = loop, .spare = spare};
    uv_timer_init(loop, &dial->timer);
    dial->timer.data = dial;
}

void dial_add(struct dial *dial, const struct sockaddr *to, uint16_t port)
{
    struct target *target = &dial->targets[dial->count];

    if (dial->count == TARGETS_MAX || (to->sa_family != AF_INET && to->sa_family != AF_INET6))
        return;
    dial->count++;
    target->size = to->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                            : sizeof(struct sockaddr_in6);
    memcpy(&target->to, to, target->size);
    target_set_port(target, port);
}

void dial_add_address(struct dial *dial, const struct address *to, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (address_is_ipv4(to)) {
        memcpy(&v4.sin_addr, to->bytes + 12, sizeof v4.sin_addr);
        dial_add(dial, (const struct sockaddr *)&v4, port);
    } else {
        memcpy(&v6.sin6_addr, to->bytes, sizeof v6.sin6_addr);
        dial_add(dial, (const struct sockaddr *)&v6, port);
    }
}

void dial_start(struct dial *dial, uint64_t delay)
{
    dial->began = uv_now(dial->loop);
    uv_timer_start(&dial->timer, on_timer, delay, 0);
}

void dial_stop(struct dial *dial)
{
    uv_timer_stop(&dial->timer);
    while (dial->in_flight > 0)
        give_up(dial->attempts[dial->in_flight - 1]);
}
