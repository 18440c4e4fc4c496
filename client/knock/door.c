#include "client/knock/door.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>

#include "client/knock/attempts.h"
#include "common/clock.h"
#include "common/request.h"

enum { LANES_MAX = SENDINGS_MAX * REQUEST_SERVICES };

#define STAGGER (INT64_C(250) * NSEC_PER_MSEC)     /* RFC 8305, 8 */
#define KNOCK_AGAIN (INT64_C(300) * NSEC_PER_MSEC) /* the first pause, doubled each time */
#define KNOCK_ANEW (INT64_C(3) * NSEC_PER_SEC)

/* There is a lane for each service by each way to each address. */
struct race {
    struct attempts lanes[LANES_MAX];
    unsigned count;
    int64_t knock_due;   /* when all knocks are sent again, clock_boot_ns() as in all `due` */
    int64_t knock_pause; /* nanoseconds to the time after */
    int64_t anew_due;    /* when one knock is signed anew; INT64_MAX: none is */
    unsigned turn;       /* which knock that is, counted on without end */
    int64_t slow_due;    /* when door->slow is called; INT64_MAX: it was */
};

/* ---- who runs ------------------------------------------------------------ */

/* The first knock that was sent, is not used, and has another family than `last`. If there is none,
 * the first that was sent and is not used. If there is none either, door->count. */
static unsigned choose_next(const struct door *door, const bool *used, int last)
{
    unsigned found = door->count;

    for (unsigned i = 0; i < door->count; i++) {
        if (used[i] || !door->sendings[i].sent)
            continue;
        if (door->sendings[i].target.to.ss_family != last)
            return i;
        if (found == door->count)
            found = i;
    }
    return found;
}

static void expect_knocks(struct race *race, const struct door *door, int64_t now)
{
    race->knock_pause = KNOCK_AGAIN;
    race->knock_due = now + KNOCK_AGAIN;
    race->anew_due = door->knocker->asks ? INT64_MAX : now + KNOCK_ANEW;
}

static void line_up(struct race *race, const struct door *door, int64_t now)
{
    bool used[SENDINGS_MAX] = {false};
    int last = AF_UNSPEC;
    unsigned i;

    *race = (struct race){.slow_due = now + (int64_t)DOOR_SLOW * NSEC_PER_SEC};
    expect_knocks(race, door, now);
    for (int64_t start = now; (i = choose_next(door, used, last)) < door->count;
         start += STAGGER) {
        const struct sending *s = &door->sendings[i];

        used[i] = true;
        last = s->target.to.ss_family;
        for (unsigned k = 0; k < door->service_count && race->count < LANES_MAX; k++) {
            struct attempts *lane = &race->lanes[race->count++];

            attempts_init(lane, &s->target, &s->source, door->services[k].port, start);
            lane->unseen = door->unseen;
        }
    }
}

/* ---- running ------------------------------------------------------------- */

/* Begins the attempts that are due. A lane that has no way to its address leaves its time to
 * the next lane. A lane that was refused does not, as a shut door may refuse. */
static void begin_attempts(struct race *race, int64_t now)
{
    bool hopeless = false;

    for (unsigned i = 0; i < race->count; i++) {
        struct attempts *lane = &race->lanes[i];

        if (hopeless && !lane->begun)
            lane->due = now;
        attempts_begin(lane, now);
        hopeless = lane->error != 0 && lane->error != ECONNREFUSED;
    }
}

static void tell_if_new(const struct door *door, const struct sending *s)
{
    if (door->tell && s->is_new)
        door->tell(s);
}

/* Signs a knock anew for the next address in turn that there is a way to. A refusal ends that. */
static void send_anew(struct race *race, const struct door *door)
{
    bool done = false;

    for (unsigned tried = 0; tried < door->count && !done; tried++) {
        struct sending *s = &door->sendings[race->turn++ % door->count];

        done = send_knock_anew(s, door->knocker) || send_was_refused(s);
        tell_if_new(door, s);
    }
}

static void knock_again(struct race *race, const struct door *door, int64_t now)
{
    if (now >= race->anew_due) {
        send_anew(race, door);
        expect_knocks(race, door, now);
    } else if (now >= race->knock_due) {
        send_knocks_again(door->sendings, door->count, door->knocker);
        for (unsigned i = 0; i < door->count; i++)
            tell_if_new(door, &door->sendings[i]);
        race->knock_pause *= 2;
        race->knock_due = now + race->knock_pause;
    } else
        return;
    for (unsigned i = 0; i < race->count; i++)
        attempts_hurry(&race->lanes[i], now);
}

static int64_t next_event(const struct race *race, int64_t end)
{
    int64_t next = race->knock_due < race->anew_due ? race->knock_due : race->anew_due;

    if (next > end)
        next = end;
    if (race->slow_due < next)
        next = race->slow_due;
    for (unsigned i = 0; i < race->count; i++)
        if (race->lanes[i].due < next)
            next = race->lanes[i].due;
    return next;
}

static int error_of(const struct race *race)
{
    int error = 0;

    for (unsigned i = 0; i < race->count && error != ECONNREFUSED; i++)
        if (race->lanes[i].error != 0)
            error = race->lanes[i].error;
    return error;
}

static void tell_if_slow(struct race *race, const struct door *door, int64_t now)
{
    if (now < race->slow_due)
        return;
    race->slow_due = INT64_MAX;
    if (door->slow)
        door->slow(door, error_of(race));
}

/* Waits until something answers, or until `until`, clock_boot_ns(). Returns a connected socket or
 * -1. */
static int await_answer(struct race *race, int64_t until)
{
    struct pollfd polled[LANES_MAX][ATTEMPTS_PENDING];
    int64_t left = until - clock_boot_ns();
    struct timespec timeout = {0};
    int fd = -1;

    if (left > 0)
        timeout = (struct timespec){left / NSEC_PER_SEC, (long)(left % NSEC_PER_SEC)};
    for (unsigned i = 0; i < race->count; i++)
        attempts_before_poll(&race->lanes[i], polled[i]);
    if (ppoll(polled[0], (nfds_t)race->count * ATTEMPTS_PENDING, &timeout, NULL) <= 0)
        return -1;
    for (unsigned i = 0; i < race->count && fd < 0; i++)
        fd = attempts_after_poll(&race->lanes[i], polled[i]);
    return fd;
}

int door_enter(const struct door *door, uint32_t seconds, int *error)
{
    int64_t now = clock_boot_ns(), end = now + (int64_t)seconds * NSEC_PER_SEC;
    struct race race;
    int fd = -1, on = 1;

    line_up(&race, door, now);
    for (; fd < 0 && now < end; now = clock_boot_ns()) {
        tell_if_slow(&race, door, now);
        knock_again(&race, door, now);
        begin_attempts(&race, now);
        fd = await_answer(&race, next_event(&race, end));
    }
    *error = error_of(&race);
    for (unsigned i = 0; i < race.count; i++)
        attempts_end(&race.lanes[i]);
    if (fd < 0)
        return -1;
    /* ssh(1) sets these options on connections that it begins itself, but cannot do so on one
     * that it is passed. None of the calls can fail on a TCP socket. */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}
