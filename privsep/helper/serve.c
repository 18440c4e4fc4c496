#include "privsep/helper/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/cut/cut.h"
#include "privsep/helper/orders.h"
#include "privsep/helper/requests.h"
#include "privsep/helper/usage.h"
#include "privsep/helper/words.h"
#include "privsep/prepare/confine.h"
#include "privsep/prepare/landlock.h"
#include "privsep/prepare/release.h"
#include "privsep/prepare/rules.h"
#include "privsep/xtables/bell.h"

enum {
    RETRY_SECONDS = 1,  /* until a firewall change that failed is tried again */
    LOOK_SECONDS = 2,   /* between looks where no bell rings, or where it never stops */
    LOOK_AGAIN_SECONDS = 1, /* between looks after a bell */
    OFTEN = 3,          /* removals; after more of them the rules are contested */
    QUIET_SECONDS = 60, /* without a removal: then the rules are contested no more */
    STOP_TRIES = 5,
};

struct helper {
    struct policy policy;
    struct marks marks;
    struct grants grants;
    struct rules rules[FAMILIES];
    struct firewall firewall;
    struct requests requests;
    struct cut cut;
    struct news news;
    struct words words;
    int timer;       /* CLOCK_BOOTTIME: deadlines, retries, looks */
    int clock_steps; /* readable when the wall clock was set */
    int bell;        /* -1 with iptables-legacy */
    int64_t retry_at, look_at; /* CLOCK_BOOTTIME, nanoseconds; 0: not planned */
    int64_t looked_at;
    struct bell_ringer ringer; /* who changed nftables last */
    unsigned removals; /* of our rules, since nobody removed any for QUIET_SECONDS */
    int64_t removed_at;
    struct log_limit failures; /* of the lines about failures to change the firewall */
    bool is_failure_told;      /* the log was told of one, and not yet that it is over */
    enum helper_rules told;    /* what the supervisor was last told of the rules */
};

/* ---- time --------------------------------------------------------------- */

static int64_t seconds_from_now(unsigned seconds)
{
    return clock_boot_ns() + (int64_t)seconds * NSEC_PER_SEC;
}

static void bring_forward(int64_t *when, int64_t other)
{
    if (other != 0 && other < *when)
        *when = other;
}

/* Returns when the rules are contested no more, if nobody removes any until then; 0: nobody has
 * removed any. CLOCK_BOOTTIME, nanoseconds. */
static int64_t quiet_at(const struct helper *h)
{
    return h->removals == 0 ? 0 : h->removed_at + (int64_t)QUIET_SECONDS * NSEC_PER_SEC;
}

static void arm_timer(struct helper *h)
{
    int64_t when = helper_grants_next_deadline(&h->grants);
    struct itimerspec spec = {0};

    bring_forward(&when, h->retry_at);
    bring_forward(&when, h->look_at);
    bring_forward(&when, quiet_at(h));
    bring_forward(&when, helper_throttle_next(&h->words.throttle));
    if (when != INT64_MAX) {
        spec.it_value.tv_sec = when / NSEC_PER_SEC;
        spec.it_value.tv_nsec = when % NSEC_PER_SEC + 1; /* all zero would disarm it */
        if (spec.it_value.tv_nsec == NSEC_PER_SEC)
            spec.it_value.tv_nsec--;
    }
    if (timerfd_settime(h->timer, TFD_TIMER_ABSTIME, &spec, NULL) != 0)
        fatal("cannot set a timer");
}

/* ---- what is told of the rules -------------------------------------------- */

/* Another program removes the rules as often as they are put back. No limit follows from
 * that but one: how often the log says so. */
static bool is_contested(const struct helper *h)
{
    return h->removals > OFTEN;
}

static bool any_family_is(const struct helper *h, enum firewall_state state)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (h->firewall.xtables.in_use[family] && h->firewall.state[family] == state)
            return true;
    return false;
}

static enum helper_rules rules_are(const struct helper *h)
{
    if (any_family_is(h, FIREWALL_DAMAGED))
        return HELPER_RULES_MISSING;
    if (any_family_is(h, FIREWALL_UNREADABLE))
        return HELPER_RULES_UNKNOWN;
    return is_contested(h) ? HELPER_RULES_CONTESTED : HELPER_RULES_IN_FORCE;
}

/* Sends the report. A supervisor that does not read does without it. */
static void tell_report(struct helper *h, struct helper_report *report)
{
    report->rules = rules_are(h);
    if (send(HELPER_FD_SUPERVISOR, report, sizeof *report, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_warn("cannot answer the supervisor");
    else
        h->told = report->rules;
}

static void tell_unasked(struct helper *h)
{
    static struct helper_report report;

    helper_report_unasked(&h->requests, &report);
    tell_report(h, &report);
}

/* Reports at once what has changed: portsmithctl is shown what the supervisor was last told. */
static void tell_of_changed_rules(struct helper *h)
{
    if (rules_are(h) != h->told)
        tell_unasked(h);
}

/* ---- keeping the firewall as it should be ------------------------------- */

/* Ends the helper where the lock that it may use is gone: the next helper can use the new
 * one. */
static void check_lock(const struct helper *h)
{
    if (h->firewall.xtables.backend == BACKEND_LEGACY && helper_landlock_lost_lock())
        fatalx("the xtables lock was removed or replaced: starting again");
}

typedef bool firewall_change(struct firewall *fw, enum family family, struct grants *grants,
                             struct error *why);

static void mend(struct helper *h, enum family family, firewall_change *change)
{
    struct error why;

    if (!h->firewall.xtables.in_use[family] || change(&h->firewall, family, &h->grants, &why))
        return;
    if (log_warnx_limited(&h->failures, 1,
                          "the firewall could not be changed, trying again every %d s: %s",
                          RETRY_SECONDS, why.text))
        h->is_failure_told = true;
    check_lock(h);
}

/* Plans a retry while the firewall may not be as it should be. A retry that is planned already
 * stays where it is: else whoever keeps the helper busy could put it off for ever. */
static void plan_retry(struct helper *h)
{
    bool unsure = h->firewall.unsure[IPV4] || h->firewall.unsure[IPV6];

    if (unsure) {
        if (h->retry_at == 0)
            h->retry_at = seconds_from_now(RETRY_SECONDS);
        return;
    }
    h->retry_at = 0;
    if (h->is_failure_told)
        log_info("the firewall could be changed again");
    h->is_failure_told = false;
}

/* Tells the log of grants that have ended, and whose doors are shut: all connections that came in
 * through them have come. With `why` END_NONE the grants tell why they ended. To be called last,
 * as a log that does not read may hold the helper up. */
static void tell_ends(struct helper *h, struct grant *ended, size_t count, enum grant_end why)
{
    if (count == 0)
        return;
    helper_usage_finish(&h->news, &h->grants, ended, count);
    helper_events_tell_lost(&h->words, &h->news);
    helper_events_tell_ends(&h->words, ended, count, why);
}

static void serve_deadlines(struct helper *h)
{
    bool changed[FAMILIES];
    size_t ended = helper_grants_expire(&h->grants, clock_boot_ns(), changed);

    for (enum family family = IPV4; family < FAMILIES; family++)
        if (changed[family])
            mend(h, family, helper_firewall_rewrite);
    tell_ends(h, h->grants.items + h->grants.count, ended, END_NONE);
}

/* A grant that has had its connections ends at once, as if its window were over. */
static void serve_news(struct helper *h)
{
    bool changed = helper_usage_hear(&h->news, &h->grants);

    helper_events_tell_lost(&h->words, &h->news);
    if (changed)
        serve_deadlines(h);
}

static void serve_retry(struct helper *h)
{
    if (h->retry_at == 0 || clock_boot_ns() < h->retry_at)
        return;
    h->retry_at = 0;
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (h->firewall.unsure[family])
            mend(h, family, helper_firewall_establish);
}

/* Returns the latest deadline that the profile would give a grant now. */
static int64_t latest_deadline(const struct helper_profile *profile)
{
    int64_t window = profile->max_window, now = clock_wall_ns() / NSEC_PER_SEC;
    int64_t left = helper_policy_latest_end(profile, now) - now;

    if (left < window)
        window = left > 0 ? left : 0;
    return clock_boot_ns() + window * NSEC_PER_SEC;
}

static void serve_clock_step(struct helper *h)
{
    static struct log_limit said;

    if (!clock_was_set(h->clock_steps))
        return;
    log_info_limited(&said, LINES_A_MINUTE,
                     "the wall clock was set: rewriting the deadlines of live grants");
    /* A profile's limits are of the wall clock. What that clock said when a grant was opened may
     * have been wrong. */
    for (size_t i = 0; i < h->grants.count; i++) {
        struct grant *grant = &h->grants.items[i];
        const struct policy_entry *entry = helper_policy_find(&h->policy, grant->key_id);

        if (entry)
            helper_grants_shorten(&h->grants, grant, latest_deadline(entry->profile));
    }
    helper_firewall_follow_clock(&h->firewall);
    helper_marks_follow_clock(&h->marks, clock_wall_us()); /* the next batch stores them */
    helper_grants_follow_clock(&h->grants);
    mend(h, IPV4, helper_firewall_refresh);
    mend(h, IPV6, helper_firewall_refresh);
}

static void log_removal(const struct helper *h)
{
    char who[80] = "";

    if (h->ringer.pid != 0)
        snprintf(who, sizeof who, " (the last to change nftables was %s, pid %u)", h->ringer.name,
                 h->ringer.pid);
    if (h->removals <= OFTEN)
        log_warnx("another program removed Portsmith's rules%s: putting them back", who);
    else if (h->removals == OFTEN + 1)
        log_warnx("another program keeps removing Portsmith's rules%s: until it stops they are put "
                  "back every %d s, and this is not said again", who, LOOK_SECONDS);
}

static void serve_quiet(struct helper *h)
{
    if (h->removals == 0 || clock_boot_ns() < quiet_at(h))
        return;
    if (is_contested(h))
        log_info("nobody has removed Portsmith's rules for %d s; before that they were put back "
                 "%u times", QUIET_SECONDS, h->removals);
    h->removals = 0;
}

static enum firewall_state look_at_family(struct helper *h, enum family family)
{
    bool was_readable = h->firewall.state[family] != FIREWALL_UNREADABLE;
    static struct log_limit said;
    enum firewall_state state;
    struct error why;

    state = helper_firewall_look(&h->firewall, family, &h->grants, &why);
    if (state != FIREWALL_UNREADABLE)
        return state;
    if (was_readable)
        log_warnx_limited(&said, LINES_A_MINUTE,
                          "whether Portsmith's rules are in force cannot be seen, looking every "
                          "%d s: %s", RETRY_SECONDS, why.text);
    check_lock(h);
    h->look_at = seconds_from_now(RETRY_SECONDS);
    return state;
}

static void look(struct helper *h)
{
    bool legacy = h->firewall.xtables.backend == BACKEND_LEGACY, damaged[FAMILIES] = {0};

    h->looked_at = clock_boot_ns();
    h->look_at = legacy ? seconds_from_now(LOOK_SECONDS) : 0;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        enum firewall_state state;

        if (!h->firewall.xtables.in_use[family])
            continue;
        state = look_at_family(h, family);
        tell_of_changed_rules(h); /* before the mending, which may take seconds */
        damaged[family] = state == FIREWALL_DAMAGED;
        /* Somebody may have restored rules of grants that have ended. */
        if (state == FIREWALL_INTACT && !legacy)
            mend(h, family, h->firewall.uses_set ? helper_firewall_refresh
                                                 : helper_firewall_rewrite);
        /* ip6tables-legacy may take other rules for ours (firewall.h). */
        if (state == FIREWALL_INTACT && legacy && family == IPV6)
            mend(h, family, helper_firewall_refresh);
    }
    if (damaged[IPV4] || damaged[IPV6]) {
        h->removed_at = clock_boot_ns();
        h->removals++;
        log_removal(h);
    }
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (damaged[family])
            mend(h, family, helper_firewall_establish);
}

static void serve_look(struct helper *h)
{
    if (h->look_at != 0 && clock_boot_ns() >= h->look_at)
        look(h);
}

static void serve_bell(struct helper *h)
{
    const pid_t own[FAMILIES] = {h->firewall.restore[IPV4].last_pid,
                                 h->firewall.restore[IPV6].last_pid};
    int pause = is_contested(h) ? LOOK_SECONDS : LOOK_AGAIN_SECONDS;

    if (!bell_rang(h->bell, own, FAMILIES, &h->ringer) || h->look_at != 0)
        return;
    /* The helper looks at once after the first change. But a firewall script makes many changes,
     * and they are not to count as many removals. */
    h->look_at = h->looked_at + (int64_t)pause * NSEC_PER_SEC;
    serve_look(h);
}

/* ---- the peers ---------------------------------------------------------- */

static void serve_sniffer(struct helper *h)
{
    enum sniffer_state state = helper_requests_serve(&h->requests);
    const uint32_t broken = HELPER_SNIFFER_BROKEN;

    if (state == SNIFFER_SOUND)
        return;
    /* The helper goes on, so that deadlines are kept until the supervisor has replaced the
     * pair. */
    close(h->requests.sniffer);
    h->requests.sniffer = -1;
    if (state == SNIFFER_MISBEHAVES) {
        log_warnx("the sniffer sent what an honest one cannot send: it is cut off");
        if (send(HELPER_FD_SUPERVISOR, &broken, sizeof broken, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            log_warn("cannot tell the supervisor");
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

    helper_grants_clear(&h->grants); /* the items stay, to be named in the log */
    for (enum family family = IPV4; family < FAMILIES; family++)
        h->firewall.unsure[family] = h->firewall.xtables.in_use[family];
    for (int i = 0; i < STOP_TRIES; i++)
        for (enum family family = IPV4; family < FAMILIES; family++)
            if (h->firewall.unsure[family])
                mend(h, family, helper_firewall_clear);
    tell_unasked(h);
    helper_firewall_close(&h->firewall);
    tell_ends(h, h->grants.items, ended, END_STOPPED);
    helper_throttle_sum_up(&h->words.throttle, &h->policy, INT64_MAX);
    if (h->firewall.unsure[IPV4] || h->firewall.unsure[IPV6]) {
        log_warnx("live grants could not be removed; they end at their deadlines");
        return HELPER_EXIT_FAILURE;
    }
    return HELPER_EXIT_OK;
}

static void serve_order(struct helper *h, const struct helper_order *order)
{
    static struct helper_report report;
    struct grant *ended;

    if (order->command == HELPER_TELL) {
        /* Rules that were put back a moment ago may be gone again. They are put back at the next
         * look, however often somebody asks. */
        for (enum family family = IPV4; family < FAMILIES; family++)
            if (is_contested(h) && h->firewall.xtables.in_use[family])
                look_at_family(h, family);
        if (h->look_at == 0 && any_family_is(h, FIREWALL_DAMAGED))
            h->look_at = h->looked_at + (int64_t)LOOK_SECONDS * NSEC_PER_SEC;
    }
    helper_orders_serve(&h->requests, order, &report, &ended);
    tell_report(h, &report);
    tell_ends(h, ended, report.closed, order->kill ? END_KILLED : END_CLOSED);
    free(ended);
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
    tell_unasked(h);
    helper_firewall_close(&h->firewall);
    helper_throttle_sum_up(&h->words.throttle, &h->policy, INT64_MAX);
    return HELPER_EXIT_OK;
}

/* ---- the loop ----------------------------------------------------------- */

static int run(struct helper *h)
{
    enum { SUPERVISOR, TIMER, CLOCK_STEPS, BELL, NEWS, SNIFFER, FDS };

    for (;;) {
        struct pollfd fds[FDS] = {
            [SUPERVISOR] = {.fd = HELPER_FD_SUPERVISOR, .events = POLLIN},
            [TIMER] = {.fd = h->timer, .events = POLLIN},
            [CLOCK_STEPS] = {.fd = h->clock_steps, .events = POLLIN},
            [BELL] = {.fd = h->bell, .events = POLLIN},
            [NEWS] = {.fd = h->news.listening ? h->news.fd : -1, .events = POLLIN},
            [SNIFFER] = {.fd = h->requests.sniffer, .events = POLLIN},
        };
        int status = -1;

        /* Only the next helper can open a new socket for sets: this one is confined. */
        if (h->firewall.uses_set && h->firewall.set.fd < 0)
            fatalx("the kernel does not answer about sets any more: starting again");
        plan_retry(h);
        helper_usage_rest(&h->news, &h->grants);
        arm_timer(h);
        if (poll(fds, FDS, -1) < 0 && errno != EINTR)
            fatal("poll");
        /* Deadlines come before requests: a flood must not hold a door open. */
        serve_deadlines(h);
        serve_retry(h);
        if (fds[NEWS].revents)
            serve_news(h);
        helper_throttle_sum_up(&h->words.throttle, &h->policy, clock_boot_ns());
        if (fds[CLOCK_STEPS].revents)
            serve_clock_step(h);
        if (fds[BELL].revents)
            serve_bell(h);
        serve_look(h);
        serve_quiet(h);
        tell_of_changed_rules(h);
        if (fds[SUPERVISOR].revents)
            status = serve_supervisor(h);
        if (status >= 0)
            return status;
        /* Without its file nobody would see what the table says is open. The next helper takes
         * over what it finds in the file's place. */
        if (helper_grants_lost_file(&h->grants))
            fatalx("the table of grants was removed or replaced: starting again");
        if (fds[SNIFFER].revents)
            serve_sniffer(h);
    }
}

/* ---- getting ready ------------------------------------------------------ */

static void prepare_process(void)
{
    const int inherited[] = {HELPER_FD_SUPERVISOR, HELPER_FD_SNIFFER, HELPER_FD_STATE,
                             HELPER_FD_RUN, HELPER_FD_NEWS};
    const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};

    if (close_range(HELPER_FD_NEWS + 1, ~0u, 0) != 0)
        fatal("cannot close what was inherited");
    for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++)
        if (fcntl(inherited[i], F_SETFD, FD_CLOEXEC) != 0)
            fatalx("portsmith-helper is started by portsmithd, never by hand");
    /* Only the end of the supervisor's socket ends the helper. A Ctrl-C, or a service manager's
     * signal to all processes, must not end it first. */
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    setsid();
    if (sodium_init() < 0)
        fatalx("libsodium cannot be initialised");
}

/* Whether the profile would grant it now, and send it on to where it is sent. */
static bool is_permitted(const struct helper_profile *profile, const struct grant *grant)
{
    const int64_t now = clock_wall_ns() / NSEC_PER_SEC;
    const struct helper_destination *d =
        helper_policy_destination(profile, &grant->service, address_family(&grant->address));

    if (helper_policy_latest_end(profile, now) <= now ||
        !helper_policy_permits_service(profile, &grant->service) ||
        !helper_policy_permits_address(profile, &grant->address) ||
        (profile->needs_signed_address && !grant->signed_address))
        return false;
    if (d)
        return d->port == grant->destination_port &&
               address_equal(&d->address, &grant->destination);
    return grant->destination_port == 0 && !helper_policy_sends_on(profile, &grant->service);
}

/* Keeps of the grants that the helper before stored those that policy still permits, for no
 * longer than it permits. The other grants lie behind those in the table then. */
static void keep_permitted_grants(struct helper *h)
{
    struct grants *grants = &h->grants;

    for (size_t i = grants->count; i-- > 0;) {
        struct grant *grant = &grants->items[i];
        const struct policy_entry *entry = helper_policy_find(&h->policy, grant->key_id);

        if (entry && is_permitted(entry->profile, grant)) {
            helper_grants_shorten(grants, grant, latest_deadline(entry->profile));
            /* Until now only the first connection was counted, or from now on none is. */
            if ((grant->connections == 0 && grant->used > 0) ||
                !helper_policy_is_tracked(entry->profile, &grant->service))
                grant->is_counted = 0;
            grant->connections = entry->profile->connections;
            grant_seal(grant);
        } else {
            helper_grants_remove_at(grants, i);
        }
    }
}

static bool establish(struct helper *h, struct error *why)
{
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (h->firewall.xtables.in_use[family] &&
            !helper_firewall_establish(&h->firewall, family, &h->grants, why))
            return false;
    return true;
}

/* Takes over what the last helper granted. Without a table nothing is open, but the ports are
 * shut. Grants that policy no longer permits are kept in `dropped`: whoever has a profile removed
 * may want the connections ended that came in through its grants. */
static bool take_over_grants(struct helper *h, struct error *why)
{
    struct grants *grants = &h->grants;
    struct requests *r = &h->requests;
    struct grant *dropped;
    struct error unused;
    size_t loaded;

    if (!helper_grants_create(grants, HELPER_FD_RUN, h->policy.setup.max_grants, clock_boot_ns(),
                              why)) {
        establish(h, &unused);
        return false;
    }
    loaded = grants->count;
    keep_permitted_grants(h);
    helper_usage_take_over(&h->news, grants);
    dropped = grants->items + grants->count;
    r->dropped_count = loaded - grants->count;
    r->dropped = calloc(r->dropped_count + 1, sizeof *r->dropped);
    if (!r->dropped)
        return error_set(why, "no memory for %zu grants", r->dropped_count);
    memcpy(r->dropped, dropped, r->dropped_count * sizeof *dropped);
    if (!establish(h, why))
        return false;
    tell_ends(h, dropped, r->dropped_count, END_FORBIDDEN);
    if (grants->count > 0)
        log_info("took over %zu live grant%s", grants->count, grants->count == 1 ? "" : "s");
    return true;
}

static int compare_services(const void *a, const void *b)
{
    return service_compare(a, b);
}

/* Has the kernel tell of connections to the services that some profile opens, each named once. */
static bool open_news(struct helper *h, struct error *why)
{
    const size_t profiles = h->policy.setup.profile_count;
    struct service *all = calloc(profiles * POLICY_SERVICES + 1, sizeof *all);
    size_t count = 0, kept = 0;

    if (!all)
        return error_set(why, "no memory for the services of %zu profiles", profiles);
    for (size_t i = 0; i < profiles; i++)
        for (size_t j = 0; j < h->policy.entries[i].profile->service_count; j++)
            all[count++] = h->policy.entries[i].profile->services[j];
    qsort(all, count, sizeof *all, compare_services);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || service_compare(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    helper_news_open(&h->news, HELPER_FD_NEWS, all, kept);
    free(all);
    return true;
}

/* Tells, at each start, of the clients that are shut out because their record was damaged. */
static void tell_lost(struct helper *h)
{
    enum { NAMED = 20 };
    size_t lost = 0;

    for (size_t i = 0; i < h->policy.setup.profile_count; i++) {
        const struct policy_entry *entry = &h->policy.entries[i];
        const struct mark *mark = helper_marks_find(&h->marks, entry->key_id);
        const struct log_about about = {.profile = entry->profile->name};

        if (!helper_mark_is_lost(mark) || mark->counters[0] <= clock_wall_us() || ++lost > NAMED)
            continue;
        if (mark->counters[0] == UINT64_MAX && !h->policy.setup.skew_checked)
            log_warnx_about(&about, "%s: the record of its knocks was damaged: it stays out until "
                                    "it is added anew, with a new key", about.profile);
        else
            log_warnx_about(&about, "%s: the record of its knocks was damaged: it is heard again "
                                    "in a while (MaxSkew)", about.profile);
    }
    if (lost > NAMED)
        log_warnx("and so were those of %zu more profiles", lost - NAMED);
}

static bool open_marks(struct helper *h, struct error *why)
{
    const struct helper_setup *setup = &h->policy.setup;
    uint64_t skew = setup->skew_checked ? (uint64_t)setup->max_skew * USEC_PER_SEC : UINT64_MAX;

    if (!helper_marks_open(&h->marks, HELPER_FD_STATE, h->policy.entries[0].key_id,
                           sizeof *h->policy.entries, setup->profile_count, clock_wall_us(), skew,
                           why))
        return false;
    if (h->marks.damaged > 0)
        log_warnx("of the marks in the state directory %zu were damaged", h->marks.damaged);
    tell_lost(h);
    return true;
}

static bool get_ready(struct helper *h, struct error *why)
{
    h->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    h->clock_steps = clock_watch();
    if (h->timer < 0 || h->clock_steps < 0)
        return error_set(why, "cannot make a timer: %s", strerror(errno));
    h->bell = -1;
    if (h->firewall.xtables.backend == BACKEND_LEGACY) {
        h->look_at = seconds_from_now(LOOK_SECONDS);
    } else {
        h->bell = bell_open(why);
        if (h->bell < 0)
            return false;
    }
    /* The ports are shut before the marks are read: whatever is wrong with those, this host's
     * ports are not left open for it. */
    return open_news(h, why) && take_over_grants(h, why) && open_marks(h, why);
}

static unsigned wishes(const struct policy *policy)
{
    unsigned found = policy->setup.sends_on ? PROBE_SENDS_ON : 0;

    for (size_t i = 0; i < policy->setup.profile_count; i++)
        if (policy->entries[i].profile->connections)
            found |= PROBE_LIMITS;
    if (policy->setup.grant_store == GRANT_STORE_SET)
        found |= PROBE_SETS;
    if (found != PROBE_SETS) /* some grants are rules */
        found |= PROBE_DEADLINES;
    if (policy->setup.trial_end != 0)
        found |= PROBE_TRIAL;
    return found;
}

/* Probes iptables, and decides what grants are kept as, if that was not configured: as rules,
 * which an admin sees, where rules can end by themselves. */
static enum probe_result probe(struct policy *policy, struct xtables *xtables, struct error *why)
{
    struct helper_setup *setup = &policy->setup;
    bool may_choose = setup->grant_store == GRANT_STORE_AUTO && !setup->forward;
    enum probe_result probed;
    struct error unused;

    if (setup->trial_end != 0 && !helper_firewall_can_end(clock_wall_ns() / NSEC_PER_SEC)) {
        error_set(why, "a trial could not end by itself, as iptables knows no date after January "
                       "2038: set this host's clock right");
        return PROBE_UNUSABLE;
    }
    if (setup->grant_store == GRANT_STORE_AUTO)
        setup->grant_store = GRANT_STORE_RULES;
    probed = probe_xtables(xtables, setup->backend, wishes(policy), why);
    if (probed != PROBE_UNUSABLE || !may_choose)
        return probed;
    setup->grant_store = GRANT_STORE_SET;
    probed = probe_xtables(xtables, setup->backend, wishes(policy), &unused);
    if (probed != PROBE_USABLE)
        return probed;
    log_info("grants are kept in sets, as rules cannot end by themselves: %s", why->text);
    return PROBE_USABLE;
}

/* Finds out in which families the segments of sessions can be told from others. Where they
 * cannot, sessions go on all the same, but the ACKs of strangers pass as well. */
static void find_sessions(const struct helper_setup *setup, struct xtables *xtables)
{
    struct error why;
    bool shuts_tcp = false;

    for (size_t i = 0; i < setup->close_count; i++)
        shuts_tcp |= setup->close[i].protocol == IPPROTO_TCP;
    if (shuts_tcp && !probe_sessions(xtables, &why))
        log_warnx("whoever has a valid SYN cookie gets in at shut ports of TCP, since a segment "
                  "of a session cannot be told: %.300s; portsmith-trust(7) tells more", why.text);
}

/* Whether this host tells of connections, or no profile needs it to. Without news of connections
 * a door that is for so many of them would stay open for more. */
static bool can_tell_usage(struct helper *h, struct error *why)
{
    struct error reason;

    if (helper_news_try(&h->cut.conntrack, &reason))
        return true;
    if (wishes(&h->policy) & PROBE_LIMITS)
        return error_set(why, "Connections, in a profile, cannot be held to: %.300s; mend "
                              "that, or remove the line", reason.text);
    log_info("whether a grant is used cannot be told here: %s", reason.text);
    return true;
}

/* The whole life of a helper that serves. Returns its exit status. */
static int keep_doors(struct helper *h, const struct xtables *xtables)
{
    struct error why;
    struct ipset set;

    if (!helper_marks_lock(HELPER_FD_STATE, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_FAILURE;
    }
    if (xtables->backend == BACKEND_NFT &&
        (probe_legacy_in_use(IPV4) || probe_legacy_in_use(IPV6)))
        log_warnx("iptables-legacy has tables on this host too: a grant opens nothing that they "
                  "drop; move those rules, or set Backend = legacy");
    ipset_open(&set, h->policy.setup.max_grants);
    if (!helper_confine(xtables, h->policy.setup.grant_store == GRANT_STORE_SET, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_UNUSABLE;
    }
    for (enum family family = IPV4; family < FAMILIES; family++)
        rules_make(&h->rules[family], family, &h->policy.setup, h->policy.destinations,
                   h->policy.destination_count, xtables->tells_sessions[family]);
    helper_firewall_open(&h->firewall, &h->policy.setup, h->rules, xtables, &set);
    h->words.policy = &h->policy;
    h->requests = (struct requests){.policy = &h->policy, .marks = &h->marks, .grants = &h->grants,
                                    .firewall = &h->firewall, .cut = &h->cut, .news = &h->news,
                                    .words = &h->words, .sniffer = HELPER_FD_SNIFFER,
                                    .trace.on = h->policy.setup.trace};
    if (!get_ready(h, &why)) {
        log_warnx("%s", why.text);
        helper_firewall_close(&h->firewall);
        return HELPER_EXIT_FAILURE;
    }
    malloc_trim(0); /* what sorting so many profiles and marks took */
    tell_unasked(h);
    log_debug("ready: iptables-%s, %s", xtables->backend == BACKEND_NFT ? "nft" : "legacy",
              xtables->in_use[IPV6] ? "IPv4 and IPv6" : "IPv4");
    return run(h);
}

static int release(enum backend in_use)
{
    struct xtables unused;
    struct ipset set;
    struct error why;
    bool done = helper_release(BACKEND_NFT, &why);

    done = helper_release(BACKEND_LEGACY, &why) && done;
    if (done) { /* no rule of ours refers to a set any more */
        ipset_open(&set, 0);
        done = helper_set_remove(&set, IPV4, &why);
        done = helper_set_remove(&set, IPV6, &why) && done;
        ipset_remove_scratch(&set); /* a probe that was killed left it */
        ipset_close(&set);
    }
    /* Rules may be left of the back end that was in use, or, where nobody knows that, of the one
     * that would be used now. They stay where its program is missing. */
    if (done && probe_choose(&unused, in_use, &why))
        return HELPER_EXIT_OK;
    log_warnx("rules may remain: %s", why.text);
    return HELPER_EXIT_FAILURE;
}

/* Removes the rules of the back end that is not `ours`. To be called once the rules of `ours` are
 * in force: until then those of the other one shut the ports. */
static int release_other(enum backend ours)
{
    struct error why;

    if (helper_release(ours == BACKEND_NFT ? BACKEND_LEGACY : BACKEND_NFT, &why))
        return HELPER_EXIT_OK;
    log_warnx("rules of the other iptables back end may remain: %s", why.text);
    return HELPER_EXIT_FAILURE;
}

int helper_serve(void)
{
    static const int exit_statuses[] = {[PROBE_UNUSABLE] = HELPER_EXIT_UNUSABLE,
                                        [PROBE_MISSING] = HELPER_EXIT_MISSING,
                                        [PROBE_UNDECIDED] = HELPER_EXIT_FAILURE};
    static struct helper h;
    struct xtables xtables = {0};
    enum probe_result probed;
    struct error why;

    prepare_process();
    if (!helper_policy_receive(&h.policy, HELPER_FD_SUPERVISOR, &why))
        fatalx("%s", why.text);
    log_open("portsmith-helper", h.policy.setup.foreground, h.policy.setup.debug);
    if (h.policy.setup.mode == HELPER_RELEASE)
        return release(h.policy.setup.backend);
    if (h.policy.setup.mode == HELPER_RELEASE_OTHER)
        return release_other(h.policy.setup.backend);
    /* The probe may load kernel modules, so it comes before privileges are given up. */
    probed = probe(&h.policy, &xtables, &why);
    if (probed != PROBE_USABLE) {
        log_warnx("%s", why.text);
        return exit_statuses[probed];
    }
    find_sessions(&h.policy.setup, &xtables);
    cut_open(&h.cut);
    if (!can_tell_usage(&h, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_UNUSABLE;
    }
    return h.policy.setup.mode == HELPER_PROBE ? HELPER_EXIT_OK : keep_doors(&h, &xtables);
}
