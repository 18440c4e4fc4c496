#include "privsep/helper/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/libc.h"
#include "common/log.h"
#include "common/linux/process.h"
#include "privsep/helper/events.h"
#include "privsep/helper/narrow.h"
#include "privsep/helper/orders.h"
#include "privsep/helper/requests.h"
#include "privsep/plan.h"

enum {
    RETRY_SECONDS = 1, /* until a change or a look that failed is tried again */
    LOOK_AGAIN_SECONDS = 1, /* between looks that the witness asks for */
    LOOK_SECONDS = 2, /* between looks where no bell rings */
    SWEEP_GRACE_MS = 750, /* that requests may put a sweep off by */
};

struct helper {
    const struct plan *plan;
    struct marks marks;
    struct grants grants;
    struct firewall *firewall;
    struct requests requests;
    struct events events;
    int timer;       /* CLOCK_BOOTTIME: deadlines, looks, sweeps */
    int64_t look_at; /* CLOCK_BOOTTIME, nanoseconds; 0: not planned */
    int64_t sweep_at; /* the same */
    int64_t looked_at;
    struct log_limit failures; /* of the lines about failures to change the firewall */
    bool is_failure_told;      /* the log was told of one, and not yet that it is over */
    enum helper_rules told;    /* what the supervisor was last told of the rules */
};

/* ---- time --------------------------------------------------------------- */

static int64_t seconds_from_now(unsigned seconds)
{
    return clock_boot_ns() + (int64_t)seconds * NSEC_PER_SEC;
}

static void arm_timer(struct helper *h)
{
    int64_t when = helper_grants_next_deadline(&h->grants);
    struct itimerspec spec = {0};

    if (h->look_at != 0 && h->look_at < when)
        when = h->look_at;
    if (h->sweep_at != 0 && h->sweep_at < when)
        when = h->sweep_at;
    if (when != INT64_MAX) {
        spec.it_value.tv_sec = when / NSEC_PER_SEC;
        spec.it_value.tv_nsec = (long)(when % NSEC_PER_SEC);
    }
    if (timerfd_settime(h->timer, TFD_TIMER_ABSTIME, &spec, NULL) != 0)
        fatal("cannot set a timer");
}

/* ---- what is told of the rules -------------------------------------------- */

/* Reports how the helper is, and that an order has ended `closed` grants, whose doors `failed` to
 * be shut or not. A supervisor that does not read does without it. */
static void tell_report(struct helper *h, uint32_t serial, uint32_t closed, bool failed)
{
    const struct plan *plan = h->plan;
    struct helper_report report = {
        .kind = HELPER_REPORT, .serial = serial, .backend = plan->backend,
        .families = (plan->families[IPV4].in_use ? 1u : 0u) |
                    (plan->families[IPV6].in_use ? 2u : 0u),
        .grant_store = plan->grant_store, .live = (uint32_t)h->grants.count,
        .closed = closed, .failed = failed, .rules = helper_firewall_rules(h->firewall),
        .owned = plan->table.owned};

    memcpy(report.verdicts, h->requests.verdicts, sizeof report.verdicts);
    if (send(HELPER_FD_SUPERVISOR, &report, sizeof report, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_warn("cannot answer the supervisor");
    else
        h->told = report.rules;
}

/* Reports at once what has changed: portsmithctl is shown what the supervisor was last told. */
static void tell_of_changed_rules(struct helper *h)
{
    if (helper_firewall_rules(h->firewall) != h->told)
        tell_report(h, 0, 0, false);
}

/* ---- keeping the firewall as it should be ------------------------------- */

static void tell_failure(struct helper *h, const struct error *why)
{
    if (log_warnx_limited(&h->failures, 1,
                          "the firewall could not be changed, trying again every %d s: %s",
                          RETRY_SECONDS, why->text))
        h->is_failure_told = true;
}

/* Plans another try while the firewall may not be as it should be. A look that comes before that
 * stays where it is: else whoever keeps the helper busy could put it off for ever. */
static void plan_retry(struct helper *h)
{
    if (helper_firewall_rules(h->firewall) != HELPER_RULES_IN_FORCE) {
        const int64_t latest = seconds_from_now(RETRY_SECONDS);

        helper_firewall_check(h->firewall);
        if (h->look_at == 0 || h->look_at > latest)
            h->look_at = latest;
        return;
    }
    if (h->is_failure_told)
        log_info("the firewall could be changed again");
    h->is_failure_told = false;
}

/* False where a door that is to be shut may still be open. */
static bool serve_deadlines(struct helper *h)
{
    size_t ended = helper_grants_expire(&h->grants, clock_boot_ns());
    struct error why;
    bool done = helper_firewall_change(h->firewall, &h->grants, &why);

    if (!done)
        tell_failure(h, &why);
    helper_events_end(&h->events, h->grants.items + h->grants.count, ended, END_NONE);
    return done;
}

static enum helper_rules look_at_rules(struct helper *h)
{
    static struct log_limit said;
    enum helper_rules found;
    struct error why;

    h->looked_at = clock_boot_ns();
    found = helper_firewall_look(h->firewall, &h->grants, &why);
    if (found != HELPER_RULES_UNKNOWN)
        return found;
    if (h->told != HELPER_RULES_UNKNOWN)
        log_warnx_limited(&said, LINES_A_MINUTE,
                          "whether Portsmith's rules are in force cannot be seen, looking every "
                          "%d s: %s", RETRY_SECONDS, why.text);
    /* From now on: to find that out may have taken longer. Whoever asks meanwhile is served. */
    h->look_at = seconds_from_now(RETRY_SECONDS);
    return found;
}

static void mend(struct helper *h)
{
    struct error why;

    if (!helper_firewall_mend(h->firewall, &h->grants, &why))
        tell_failure(h, &why);
}

/* Looks whether the rules are there, and puts them back. Where a change has failed, all is written
 * anew. */
static void look(struct helper *h)
{
    h->look_at = h->plan->backend == BACKEND_LEGACY ? seconds_from_now(LOOK_SECONDS) : 0;
    if (look_at_rules(h) == HELPER_RULES_MISSING)
        helper_events_tell(&h->events, &(struct helper_event){.kind = EVENT_REMOVED});
    tell_of_changed_rules(h); /* before the mending, which may take seconds */
    mend(h);
}

/* Takes litter out once it is time: as soon as no request waits, and after some grace in any case:
 * a flood must not keep open what a grant that moved has left. */
static void sweep(struct helper *h, bool is_asked)
{
    const int64_t within = helper_firewall_litter(h->firewall) * NSEC_PER_MSEC;
    const int64_t now = clock_boot_ns();

    if (within > 0 && (h->sweep_at == 0 || h->sweep_at > now + within))
        h->sweep_at = now + within;
    if (within > 0 && now - h->sweep_at < (is_asked ? SWEEP_GRACE_MS * NSEC_PER_MSEC : 0))
        return;
    if (within > 0)
        mend(h);
    h->sweep_at = 0;
}

/* The helper looks at once after the first change. But a firewall script makes many changes, and
 * they are not to count as many removals. */
static void plan_look(struct helper *h)
{
    if (h->look_at == 0)
        h->look_at = h->looked_at + (int64_t)LOOK_AGAIN_SECONDS * NSEC_PER_SEC;
}

/* ---- the peers ---------------------------------------------------------- */

/* Tells the supervisor that the sniffer or the witness is not what it should be. The helper goes
 * on, so that deadlines are kept until the supervisor has replaced all of them. */
static void tell_broken(void)
{
    const uint32_t broken = HELPER_PEER_BROKEN;

    if (send(HELPER_FD_SUPERVISOR, &broken, sizeof broken, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_warn("cannot tell the supervisor");
}

/* Ends the grants that admit only so many connections, as nobody counts those. */
static void serve_unwitnessed(struct helper *h)
{
    static struct log_limit said;

    if (!h->events.is_unwitnessed)
        return;
    log_warnx_limited(&said, LINES_A_MINUTE,
                      "connections are not counted%s: grants that admit only so many end",
                      h->events.witness < 0 ? ", as the witness has ended" : "");
    helper_events_end_unwitnessed(&h->events, &h->grants);
    serve_deadlines(h);
}

static void serve_witness(struct helper *h)
{
    enum { AT_ONCE = 64 }; /* deadlines must not wait for a witness that never stops */
    struct witness_word word;

    for (int i = 0; i < AT_ONCE && helper_events_hear(&h->events, &word); i++)
        switch (word.kind) {
        case WORD_END:
            helper_events_obey(&h->grants, &word);
            break;
        case WORD_HUSH:
            helper_events_hush(&h->events, &h->grants, word.id);
            break;
        case WORD_LOOK:
            plan_look(h);
            break;
        }
    if (h->events.witness < 0)
        tell_broken();
    serve_deadlines(h);
}

static void serve_sniffer(struct helper *h)
{
    enum sniffer_state state = helper_requests_serve(&h->requests);

    if (state == SNIFFER_SOUND)
        return;
    close(h->requests.sniffer);
    h->requests.sniffer = -1;
    if (state == SNIFFER_MISBEHAVES) {
        log_warnx("the sniffer sent what an honest one cannot send: it is cut off");
        tell_broken();
    }
}

/* Serves what the sniffer passed on before it ended: the next pair, which captures since a moment
 * ago, has not seen it. */
static void serve_the_rest(struct helper *h)
{
    enum { BATCHES = 8 }; /* more than a socket holds */

    for (int i = 0; i < BATCHES && h->requests.sniffer >= 0; i++)
        serve_sniffer(h);
}

static int stop(struct helper *h)
{
    size_t ended = h->grants.count;
    struct error why;
    bool cleared;

    helper_grants_clear(&h->grants); /* the items stay, to be named in the log */
    cleared = helper_firewall_clear(h->firewall, &h->grants, &why);
    tell_report(h, 0, 0, false);
    helper_firewall_close(h->firewall);
    helper_events_end(&h->events, h->grants.items, ended, END_STOPPED);
    if (cleared)
        return HELPER_EXIT_OK;
    log_warnx("live grants could not be removed; they end at their deadlines: %s", why.text);
    return HELPER_EXIT_FAILURE;
}

/* Looks at the rules before it is told how they are: a witness that hangs, or is hostile, tells of
 * no removal. Where a look is planned, what it will find is told now, and mended then. */
static void look_before_telling(struct helper *h)
{
    if (h->look_at != 0 || clock_boot_ns() - h->looked_at >= LOOK_SECONDS * (int64_t)NSEC_PER_SEC)
        look_at_rules(h);
}

static void serve_order(struct helper *h, const struct helper_order *order)
{
    uint32_t closed = 0;
    bool shut = true;

    if (order->command == HELPER_CLOSE) {
        closed = helper_order_end(order, &h->grants);
        shut = serve_deadlines(h);
    } else {
        look_before_telling(h);
    }
    tell_report(h, order->serial, closed, !shut);
}

/* Returns -1 to go on, else the exit status. */
static int serve_supervisor(struct helper *h)
{
    struct helper_order order;
    ssize_t n = recv(HELPER_FD_SUPERVISOR, &order, sizeof order, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return -1;
    if (n == sizeof order && helper_order_is_canonical(&order)) {
        if (order.command == HELPER_STOP)
            return stop(h);
        serve_order(h, &order);
        return -1;
    }
    serve_the_rest(h);
    /* There may be no next helper. And a clock that is set back, which may be why this one ends,
     * would have the kernel open again what it has shut. */
    if (helper_firewall_litter(h->firewall) > 0)
        mend(h);
    tell_report(h, 0, 0, false);
    helper_firewall_close(h->firewall);
    return HELPER_EXIT_OK;
}

/* ---- the loop ----------------------------------------------------------- */

static int run(struct helper *h)
{
    enum { SUPERVISOR, TIMER, WITNESS, SNIFFER, FDS };

    for (;;) {
        struct pollfd fds[FDS] = {
            [SUPERVISOR] = {.fd = HELPER_FD_SUPERVISOR, .events = POLLIN},
            [TIMER] = {.fd = h->timer, .events = POLLIN},
            [WITNESS] = {.fd = h->events.witness, .events = POLLIN},
            [SNIFFER] = {.fd = h->requests.sniffer, .events = POLLIN},
        };
        int status = -1;

        plan_retry(h);
        arm_timer(h);
        if (poll(fds, FDS, -1) < 0 && errno != EINTR)
            fatal("poll");
        /* Deadlines come before requests: a flood must not hold a door open. */
        serve_deadlines(h);
        if (fds[WITNESS].revents)
            serve_witness(h);
        if (h->look_at != 0 && clock_boot_ns() >= h->look_at)
            look(h);
        tell_of_changed_rules(h);
        if (fds[SUPERVISOR].revents)
            status = serve_supervisor(h);
        if (status >= 0)
            return status;
        if (fds[SNIFFER].revents)
            serve_sniffer(h);
        serve_unwitnessed(h);
        sweep(h, fds[SNIFFER].revents != 0);
        /* This look comes last, so that no knock waits for it. Without its file nobody would see
         * what the table says is open. The next helper takes over what it finds in the file's
         * place. */
        if (helper_grants_lost_file(&h->grants))
            fatalx("the table of grants was removed or replaced: starting again");
    }
}

/* ---- getting ready ------------------------------------------------------ */

/* Prepare has left all descriptors that there must be open; without it there is no plan. */
static const struct plan *begin_process(void)
{
    const struct plan *plan;
    struct error why;

    plan = plan_map(HELPER_FD_PLAN, &why);
    if (!plan)
        fatalx("portsmith-helper is started by portsmith-prepare, never by hand: %s", why.text);
    /* CLOSE_RANGE_CLOEXEC does the same, but from Linux 5.11 on. Some need not be open. */
    for (int fd = HELPER_FD_SUPERVISOR; fd <= HELPER_FD_LOCK; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (close_range(HELPER_FD_LOCK + 1, ~0u, 0) != 0)
        fatal("cannot close what was inherited");
    if (sodium_init() < 0)
        fatalx("libsodium cannot be initialised");
    return plan;
}

/* Takes up what portsmith-prepare has left, and gives up what is not needed any more. */
static bool take_up(struct helper *h, const struct plan *plan, struct error *why)
{
    h->plan = plan;
    if (!process_forbid_core_dumps(why) ||
        !helper_marks_map(&h->marks, HELPER_FD_PLAN, plan, why) ||
        !helper_grants_map(&h->grants, HELPER_FD_GRANTS, plan->max_grants, why))
        return false;
    h->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (h->timer < 0)
        return error_set(why, "cannot make a timer: %s", strerror(errno));
    h->firewall = helper_firewall_open(plan);
    return helper_narrow(plan, why);
}

int helper_serve(int argc)
{
    static struct helper h;
    const struct plan *plan;
    struct error why;

    if (argc > 1) {
        fputs("portsmith-helper takes no arguments: it is started by portsmithd, see "
              "portsmith-helper(8)\n",
              stderr);
        return 2;
    }
    plan = begin_process();
    log_open("portsmith-helper", plan->foreground, plan->debug);
    if (!take_up(&h, plan, &why))
        fatalx("%s", why.text);
    h.events = (struct events){.witness = HELPER_FD_WITNESS, .news = HELPER_FD_NEWS};
    if (h.grants.count > 0) /* the witness knows which of them wait for connections */
        helper_events_listen(&h.events);
    h.requests = (struct requests){.plan = plan, .marks = &h.marks, .grants = &h.grants,
                                   .firewall = h.firewall, .events = &h.events,
                                   .sniffer = HELPER_FD_SNIFFER};
    helper_firewall_begin(h.firewall, h.grants.table);
    h.told = HELPER_RULES_IN_FORCE; /* the look tells nothing of that: its report is below */
    look(&h);
    tell_report(&h, 0, 0, false);
    log_debug("ready: %s", plan->families[IPV6].in_use ? "IPv4 and IPv6" : "IPv4");
    return run(&h);
}
