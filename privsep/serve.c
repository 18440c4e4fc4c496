#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "answer.h"
#include "bell.h"
#include "clock.h"
#include "confine.h"
#include "dispatch.h"
#include "flows.h"
#include "landlock.h"
#include "log.h"
#include "usage.h"

enum {
    RETRY_SECONDS = 1,  /* until a firewall change that failed is tried again */
    LOOK_SECONDS = 5,   /* between looks at iptables-legacy, which has no bell */
    LOOK_AGAIN_SECONDS = 1, /* between looks after a bell */
    HEALS_MAX = 3,      /* a minute; more is a fight that nobody wins */
    HEAL_PERIOD = 60,
    STOP_TRIES = 5,
};

struct helper {
    struct policy policy;
    struct marks marks;
    struct grants grants;
    struct firewall firewall;
    struct dispatch dispatch;
    struct flows flows;
    int timer;       /* CLOCK_BOOTTIME: deadlines, retries, looks */
    int clock_steps; /* readable when the wall clock was set */
    int bell;        /* -1 with iptables-legacy */
    int64_t retry_at, look_at; /* CLOCK_BOOTTIME, nanoseconds; 0: not planned */
    int64_t looked_at;
    int64_t healed_at[HEALS_MAX];
    unsigned heals;
};

/* ---- time --------------------------------------------------------------- */

static int64_t seconds_from_now(unsigned seconds)
{
    return clock_boot_ns() + (int64_t)seconds * NSEC_PER_SEC;
}

static void earliest(int64_t *when, int64_t other)
{
    if (other != 0 && other < *when)
        *when = other;
}

static void arm_timer(struct helper *h)
{
    int64_t when = helper_grants_next_deadline(&h->grants);
    struct itimerspec spec = {0};

    earliest(&when, h->retry_at);
    earliest(&when, h->look_at);
    earliest(&when, helper_usage_next(&h->grants));
    earliest(&when, helper_refusals_next(&h->dispatch.refusals));
    if (when != INT64_MAX) {
        spec.it_value.tv_sec = when / NSEC_PER_SEC;
        spec.it_value.tv_nsec = when % NSEC_PER_SEC + 1; /* all zero would disarm it */
        if (spec.it_value.tv_nsec == NSEC_PER_SEC)
            spec.it_value.tv_nsec--;
    }
    if (timerfd_settime(h->timer, TFD_TIMER_ABSTIME, &spec, NULL) != 0)
        fatal("cannot set a timer");
}

/* ---- keeping the firewall as it should be ------------------------------- */

/* The next helper can have the new one. */
static void check_lock(const struct helper *h)
{
    if (h->firewall.xtables.backend == BACKEND_LEGACY && helper_landlock_lost_lock())
        fatalx("the xtables lock was removed or replaced: starting again");
}

typedef bool change_firewall(struct firewall *fw, int family, struct grants *grants,
                             struct error *why);

static void mend(struct helper *h, int family, change_firewall *change)
{
    struct error why;

    if (!h->firewall.xtables.in_use[family] || change(&h->firewall, family, &h->grants, &why))
        return;
    log_warnx("the firewall could not be changed, trying again in %d s: %s", RETRY_SECONDS,
              why.text);
    check_lock(h);
}

/* Only from outside of its confinement can a helper ask about sets again. */
static void check_set(const struct helper *h)
{
    if (h->firewall.uses_set && h->firewall.set.fd < 0)
        fatalx("the kernel does not answer about sets any more: starting again");
}

/* One that is planned stays: else whoever keeps the helper busy could put it
 * off for ever. */
static void plan_retry(struct helper *h)
{
    bool unsure = h->firewall.unsure[IPV4] || h->firewall.unsure[IPV6];

    if (!unsure)
        h->retry_at = 0;
    else if (h->retry_at == 0)
        h->retry_at = seconds_from_now(RETRY_SECONDS);
}

static void log_end_of(const struct helper *h, const struct grant *grant, const char *why)
{
    const struct policy_entry *entry = helper_policy_find(&h->policy, grant->key_id);
    char service[SERVICE_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    const struct log_about about = {.profile = entry ? entry->profile.name : "a removed profile",
                                    .address = address_format(&grant->address, address),
                                    .service = service_format(&grant->service, service),
                                    .verdict = "ended"};

    log_info_about(&about, "%s: %s for %s has ended: %s; %s", about.profile, service, address, why,
                   helper_usage_text(grant));
}

/* Their doors are shut by now: what came in through them has come. `why` is NULL where
 * the grants tell. */
static void log_ends(struct helper *h, struct grant *ended, size_t count, const char *why)
{
    helper_usage_finish(&h->flows, &h->grants, ended, count);
    for (size_t i = 0; i < count; i++)
        log_end_of(h, &ended[i], why                               ? why
                                 : helper_usage_is_full(&ended[i]) ? "it has had its connections"
                                                                   : "the window is over");
}

static void serve_deadlines(struct helper *h)
{
    bool changed[FAMILIES];
    size_t ended = helper_grants_expire(&h->grants, clock_boot_ns(), changed);

    for (int family = IPV4; family < FAMILIES; family++)
        if (changed[family])
            mend(h, family, helper_firewall_rewrite);
    if (ended > 0)
        helper_grants_store(&h->grants);
    log_ends(h, h->grants.items + h->grants.count, ended, NULL); /* last: it may be slow */
}

/* A grant that has had its connections ends at once. */
static void serve_usage(struct helper *h)
{
    if (!helper_usage_look(&h->flows, &h->grants, clock_boot_ns()))
        return;
    helper_grants_store(&h->grants);
    serve_deadlines(h);
}

static void serve_retry(struct helper *h)
{
    if (h->retry_at == 0 || clock_boot_ns() < h->retry_at)
        return;
    h->retry_at = 0;
    for (int family = IPV4; family < FAMILIES; family++)
        if (h->firewall.unsure[family])
            mend(h, family, helper_firewall_establish);
}

/* The latest moment until which the profile would open a door now. */
static int64_t latest_deadline(const struct helper_profile *profile)
{
    int64_t window = profile->max_window, now = clock_wall_ns() / NSEC_PER_SEC;
    int64_t left = helper_policy_latest_end(profile, now) - now;

    if (left < window)
        window = left > 0 ? left : 0;
    return clock_boot_ns() + window * NSEC_PER_SEC;
}

/* Hours and last days are of the wall clock: what it was when a grant was opened may
 * have been wrong. */
static void hold_to_policy(struct helper *h)
{
    for (size_t i = 0; i < h->grants.count; i++) {
        struct grant *grant = &h->grants.items[i];
        const struct policy_entry *entry = helper_policy_find(&h->policy, grant->key_id);

        if (entry)
            helper_grants_shorten(&h->grants, grant, latest_deadline(&entry->profile));
    }
}

static void serve_clock_step(struct helper *h)
{
    if (!clock_was_set(h->clock_steps))
        return;
    log_info("the wall clock was set: rewriting the deadlines of live grants");
    hold_to_policy(h);
    helper_grants_follow_clock(&h->grants);
    mend(h, IPV4, helper_firewall_refresh);
    mend(h, IPV6, helper_firewall_refresh);
}

/* False when chains were put back too often of late. */
static bool may_heal(struct helper *h)
{
    int64_t now = clock_boot_ns(), *oldest = &h->healed_at[h->heals % HEALS_MAX];

    if (h->heals >= HEALS_MAX && now - *oldest < (int64_t)HEAL_PERIOD * NSEC_PER_SEC) {
        log_warnx("another program keeps removing Portsmith's rules; waiting before they are put "
                  "back: find it with `nft monitor` or `iptables -S`");
        h->look_at = *oldest + (int64_t)HEAL_PERIOD * NSEC_PER_SEC;
        return false;
    }
    *oldest = now;
    h->heals++;
    return true;
}

static void look(struct helper *h)
{
    bool legacy = h->firewall.xtables.backend == BACKEND_LEGACY, damaged[FAMILIES] = {0};
    struct error why;

    h->looked_at = clock_boot_ns();
    h->look_at = legacy ? seconds_from_now(LOOK_SECONDS) : 0;
    for (int family = IPV4; family < FAMILIES; family++) {
        enum firewall_state state;

        if (!h->firewall.xtables.in_use[family])
            continue;
        state = helper_firewall_look(&h->firewall, family, &h->grants, &why);
        damaged[family] = state == FIREWALL_DAMAGED;
        if (state == FIREWALL_INTACT && !legacy) /* what was closed may have been restored */
            mend(h, family, h->firewall.uses_set ? helper_firewall_refresh
                                                 : helper_firewall_rewrite);
        if (state == FIREWALL_INTACT && legacy && family == IPV6) /* or it may not be */
            mend(h, family, helper_firewall_refresh);
        if (state == FIREWALL_UNREADABLE) {
            check_lock(h);
            h->look_at = seconds_from_now(RETRY_SECONDS);
        }
    }
    if ((!damaged[IPV4] && !damaged[IPV6]) || !may_heal(h))
        return;
    log_warnx("another program removed Portsmith's rules: putting them back");
    for (int family = IPV4; family < FAMILIES; family++)
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

    if (!helper_bell_rang(h->bell, own, FAMILIES) || h->look_at != 0)
        return;
    /* At once the first time; but a firewall script makes many changes, and
     * they are not to count as many removals. */
    h->look_at = h->looked_at + (int64_t)LOOK_AGAIN_SECONDS * NSEC_PER_SEC;
    serve_look(h);
}

/* ---- the peers ---------------------------------------------------------- */

static void tell_supervisor(enum helper_event event)
{
    uint32_t message = event;

    if (send(HELPER_FD_SUPERVISOR, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_warn("cannot tell the supervisor");
}

static void serve_sniffer(struct helper *h)
{
    enum dispatch_end end = helper_dispatch(&h->dispatch);

    if (end == DISPATCH_SERVED)
        return;
    /* Deadlines are kept until the supervisor has replaced the pair. */
    close(h->dispatch.sniffer);
    h->dispatch.sniffer = -1;
    if (end == DISPATCH_MISBEHAVING) {
        log_warnx("the sniffer sent what an honest one cannot send: it is cut off");
        tell_supervisor(HELPER_SNIFFER_BROKEN);
    }
}

/* What the sniffer passed on before it ended is not lost to the next pair, which
 * captures since a moment ago. */
static void serve_the_rest(struct helper *h)
{
    enum { BATCHES = 8 }; /* more than a socket holds */

    for (int i = 0; i < BATCHES && h->dispatch.sniffer >= 0; i++)
        serve_sniffer(h);
}

/* A supervisor that does not read goes without. */
static void tell_answer(const struct helper_answer *answer)
{
    if (send(HELPER_FD_SUPERVISOR, answer, sizeof *answer, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_warn("cannot answer the supervisor");
}

static void tell_counts(const struct helper *h)
{
    static struct helper_answer answer;

    helper_answer_at_end(&h->dispatch, &answer);
    tell_answer(&answer);
}

static int stop(struct helper *h)
{
    size_t ended = h->grants.count;

    helper_grants_clear(&h->grants); /* the items stay, to be named in the log */
    helper_grants_store(&h->grants);
    for (int family = IPV4; family < FAMILIES; family++)
        h->firewall.unsure[family] = h->firewall.xtables.in_use[family];
    for (int i = 0; i < STOP_TRIES; i++)
        for (int family = IPV4; family < FAMILIES; family++)
            if (h->firewall.unsure[family])
                mend(h, family, helper_firewall_clear);
    tell_counts(h);
    helper_firewall_close(&h->firewall);
    log_ends(h, h->grants.items, ended, "portsmithd stops");
    if (h->firewall.unsure[IPV4] || h->firewall.unsure[IPV6]) {
        log_warnx("live grants could not be removed; they end at their deadlines");
        return HELPER_EXIT_FAILURE;
    }
    return HELPER_EXIT_OK;
}

static void serve_order(struct helper *h, const struct helper_order *order)
{
    static struct helper_answer answer;
    struct grant *ended;

    helper_answer(&h->dispatch, order, &answer, &ended);
    tell_answer(&answer);
    log_ends(h, ended, answer.closed, /* last: it may be slow */
             order->kill ? "closed by an admin, with its connections" : "closed by an admin");
    free(ended);
}

/* -1 to go on, else the exit status. */
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
    if (helper_usage_hand_over(&h->flows, &h->grants))
        helper_grants_store(&h->grants);
    tell_counts(h);
    helper_firewall_close(&h->firewall);
    return HELPER_EXIT_OK;
}

/* ---- the loop ----------------------------------------------------------- */

static int run(struct helper *h)
{
    enum { SUPERVISOR, TIMER, CLOCK_STEPS, BELL, SNIFFER, FDS };

    for (;;) {
        struct pollfd fds[FDS] = {
            [SUPERVISOR] = {.fd = HELPER_FD_SUPERVISOR, .events = POLLIN},
            [TIMER] = {.fd = h->timer, .events = POLLIN},
            [CLOCK_STEPS] = {.fd = h->clock_steps, .events = POLLIN},
            [BELL] = {.fd = h->bell, .events = POLLIN},
            [SNIFFER] = {.fd = h->dispatch.sniffer, .events = POLLIN},
        };
        int status = -1;

        check_set(h);
        plan_retry(h);
        arm_timer(h);
        if (poll(fds, FDS, -1) < 0 && errno != EINTR)
            fatal("poll");
        /* Deadlines before requests: a flood must not hold a door open. */
        serve_deadlines(h);
        serve_retry(h);
        serve_usage(h);
        helper_refusals_sum_up(&h->dispatch.refusals, clock_boot_ns());
        if (fds[CLOCK_STEPS].revents)
            serve_clock_step(h);
        if (fds[BELL].revents)
            serve_bell(h);
        serve_look(h);
        if (fds[SUPERVISOR].revents)
            status = serve_supervisor(h);
        if (status >= 0)
            return status;
        if (fds[SNIFFER].revents)
            serve_sniffer(h);
    }
}

/* ---- getting ready ------------------------------------------------------ */

static void prepare_process(void)
{
    const int inherited[] = {HELPER_FD_SUPERVISOR, HELPER_FD_SNIFFER, HELPER_FD_STATE,
                             HELPER_FD_RUN};
    const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};

    if (close_range(HELPER_FD_RUN + 1, ~0u, 0) != 0)
        fatal("cannot close what was inherited");
    for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++)
        if (fcntl(inherited[i], F_SETFD, FD_CLOEXEC) != 0)
            fatalx("portsmith-helper is started by portsmithd, never by hand");
    /* The end of the supervisor's socket ends the helper, nothing else does:
     * a Ctrl-C or a service manager's signal to all must not outrun it. */
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    setsid();
    if (sodium_init() < 0)
        fatalx("libsodium cannot be initialised");
}

static bool is_sent_on_as_before(const struct helper_profile *profile, const struct grant *grant)
{
    const struct helper_destination *d =
        helper_policy_destination(profile, &grant->service, address_is_ipv4(&grant->address));

    if (!d)
        return grant->destination_port == 0 && !helper_policy_sends_on(profile, &grant->service);
    return d->port == grant->destination_port && address_equal(&d->address, &grant->destination);
}

static bool is_permitted(const struct helper_profile *profile, const struct grant *grant)
{
    return helper_policy_latest_end(profile, clock_wall_ns() / NSEC_PER_SEC) >
               clock_wall_ns() / NSEC_PER_SEC &&
           helper_policy_permits_service(profile, &grant->service) &&
           helper_policy_permits_address(profile, &grant->address) &&
           is_sent_on_as_before(profile, grant) &&
           (grant->signed_address || !profile->needs_signed_address);
}

/* Keeps of the grants stored by the helper before only what policy still permits, and no
 * longer than it permits. The others then stand behind those. */
static void keep_permitted_grants(struct helper *h)
{
    struct grants *grants = &h->grants;

    for (size_t i = grants->count; i-- > 0;) {
        struct grant *grant = &grants->items[i];
        const struct policy_entry *entry = helper_policy_find(&h->policy, grant->key_id);

        if (entry && is_permitted(&entry->profile, grant)) {
            helper_grants_shorten(grants, grant, latest_deadline(&entry->profile));
            grant->connections = entry->profile.connections;
            if (grant->connections)
                grant->look_at = grants->next_look = clock_boot_ns();
        } else {
            helper_grants_remove_at(grants, i);
        }
    }
}

static void release_other_backend(enum backend ours)
{
    struct error why;

    if (!helper_firewall_release(ours == BACKEND_NFT ? BACKEND_LEGACY : BACKEND_NFT, &why))
        log_warnx("rules of the other iptables back end may remain: %s", why.text);
}

static void warn_of_legacy_tables(const struct xtables *xtables)
{
    if (xtables->backend == BACKEND_NFT &&
        (helper_probe_legacy_in_use(IPV4) || helper_probe_legacy_in_use(IPV6)))
        log_warnx("iptables-legacy has tables on this host too: a grant opens nothing that they "
                  "drop; move those rules, or set Backend = legacy");
}

static bool establish(struct helper *h, struct error *why)
{
    for (int family = IPV4; family < FAMILIES; family++)
        if (h->firewall.xtables.in_use[family] &&
            !helper_firewall_establish(&h->firewall, family, &h->grants, why))
            return false;
    return true;
}

static bool take_over_grants(struct helper *h, struct error *why)
{
    struct grants *grants = &h->grants;
    size_t loaded;

    helper_grants_load(grants, clock_boot_ns());
    loaded = grants->count;
    keep_permitted_grants(h);
    if (!establish(h, why) || !helper_grants_save(grants, why))
        return false;
    log_ends(h, grants->items + grants->count, loaded - grants->count, /* last: it may be slow */
             "it is no longer permitted");
    if (grants->count > 0)
        log_info("took over %zu live grant%s", grants->count, grants->count == 1 ? "" : "s");
    return true;
}

static bool open_clocks(struct helper *h, struct error *why)
{
    h->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    h->clock_steps = clock_watch();
    if (h->timer < 0 || h->clock_steps < 0)
        return error_set(why, "cannot make a timer: %s", strerror(errno));
    return true;
}

static bool open_bell(struct helper *h, struct error *why)
{
    h->bell = -1;
    if (h->firewall.xtables.backend == BACKEND_LEGACY) {
        h->look_at = seconds_from_now(LOOK_SECONDS);
        return true;
    }
    h->bell = helper_bell_open(why);
    return h->bell >= 0;
}

/* The ports are shut before the marks are read: whatever is wrong with those,
 * this host's ports are not left open for it. */
static bool get_ready(struct helper *h, struct error *why)
{
    const struct helper_setup *setup = &h->policy.setup;

    return open_clocks(h, why) && open_bell(h, why) &&
           helper_grants_create(&h->grants, HELPER_FD_RUN, setup->max_grants, why) &&
           take_over_grants(h, why) &&
           helper_marks_open(&h->marks, HELPER_FD_STATE, h->policy.entries[0].key_id,
                             sizeof *h->policy.entries, setup->profile_count, clock_wall_us(),
                             why);
}

static unsigned wishes(const struct policy *policy)
{
    unsigned found = policy->setup.sends_on ? PROBE_SENDS_ON : 0;

    for (size_t i = 0; i < policy->setup.profile_count; i++)
        if (policy->entries[i].profile.connections)
            found |= PROBE_LIMITS;
    if (policy->setup.grant_store == GRANT_STORE_SET)
        found |= PROBE_SETS;
    if (found != PROBE_SETS) /* some grants are rules */
        found |= PROBE_DEADLINES;
    return found;
}

/* What grants are kept as is decided here, if it was not configured: as rules, which an
 * admin sees, where rules can end by themselves. */
static enum probe_result probe(struct policy *policy, struct xtables *xtables, struct error *why)
{
    struct helper_setup *setup = &policy->setup;
    bool may_choose = setup->grant_store == GRANT_STORE_AUTO && !setup->forward;
    enum probe_result probed;
    struct error unused;

    if (setup->grant_store == GRANT_STORE_AUTO)
        setup->grant_store = GRANT_STORE_RULES;
    probed = helper_probe(xtables, setup->backend, wishes(policy), why);
    if (probed != PROBE_UNUSABLE || !may_choose)
        return probed;
    setup->grant_store = GRANT_STORE_SET;
    probed = helper_probe(xtables, setup->backend, wishes(policy), &unused);
    if (probed != PROBE_USABLE)
        return probed;
    log_info("grants are kept in sets, as rules cannot end by themselves: %s", why->text);
    return PROBE_USABLE;
}

/* Without it a door that is for so many connections would stay open for more. */
static bool can_tell_usage(struct helper *h, struct error *why)
{
    struct error reason;

    if (helper_usage_try(&h->flows, &reason))
        return true;
    if (wishes(&h->policy) & PROBE_LIMITS)
        return error_set(why, "Connections, in a profile, cannot be held to: %.300s; load or "
                              "build that, or remove the line", reason.text);
    log_info("whether a grant is used cannot be told here: %s", reason.text);
    return true;
}

static int serve(struct helper *h, const struct xtables *xtables)
{
    struct error why;
    struct set set;

    if (!helper_marks_lock(HELPER_FD_STATE, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_FAILURE;
    }
    release_other_backend(xtables->backend);
    warn_of_legacy_tables(xtables);
    helper_set_open(&set, h->policy.setup.max_grants);
    if (!helper_confine(xtables, h->policy.setup.grant_store == GRANT_STORE_SET, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_UNUSABLE;
    }
    helper_firewall_open(&h->firewall, &h->policy.setup, xtables, &set);
    helper_firewall_send_on(&h->firewall, h->policy.destinations, h->policy.destination_count);
    if (!get_ready(h, &why)) {
        log_warnx("%s", why.text);
        helper_firewall_close(&h->firewall);
        return HELPER_EXIT_FAILURE;
    }
    h->dispatch = (struct dispatch){.policy = &h->policy, .marks = &h->marks, .grants = &h->grants,
                                    .firewall = &h->firewall, .flows = &h->flows,
                                    .sniffer = HELPER_FD_SNIFFER,
                                    .trace.on = h->policy.setup.trace};
    malloc_trim(0); /* what sorting so many profiles and marks took */
    tell_supervisor(HELPER_READY);
    log_debug("ready: iptables-%s, %s", xtables->backend == BACKEND_NFT ? "nft" : "legacy",
              xtables->in_use[IPV6] ? "IPv4 and IPv6" : "IPv4");
    return run(h);
}

static bool release_sets(struct error *why)
{
    struct set set;
    bool done;

    helper_set_open(&set, 0);
    done = helper_set_remove(&set, IPV4, why);
    done = helper_set_remove(&set, IPV6, why) && done;
    helper_set_remove_scratch(&set); /* of a probe that was killed */
    helper_set_close(&set);
    return done;
}

static int release(void)
{
    struct error why;
    bool nft = helper_firewall_release(BACKEND_NFT, &why);

    if (helper_firewall_release(BACKEND_LEGACY, &why) && nft && release_sets(&why))
        return HELPER_EXIT_OK;
    log_warnx("rules may remain: %s", why.text);
    return HELPER_EXIT_FAILURE;
}

int helper_serve(void)
{
    static struct helper h;
    struct xtables xtables = {0};
    enum probe_result probed;
    struct error why;

    prepare_process();
    if (!helper_policy_receive(&h.policy, HELPER_FD_SUPERVISOR, &why))
        fatalx("%s", why.text);
    log_open("portsmith-helper", h.policy.setup.foreground, h.policy.setup.debug);
    if (h.policy.setup.mode == HELPER_RELEASE)
        return release();
    /* While still privileged: this may load kernel modules. */
    probed = probe(&h.policy, &xtables, &why);
    if (probed != PROBE_USABLE) {
        log_warnx("%s", why.text);
        return probed == PROBE_UNUSABLE ? HELPER_EXIT_UNUSABLE : HELPER_EXIT_FAILURE;
    }
    helper_flows_open(&h.flows);
    if (!can_tell_usage(&h, &why)) {
        log_warnx("%s", why.text);
        return HELPER_EXIT_UNUSABLE;
    }
    return h.policy.setup.mode == HELPER_PROBE ? HELPER_EXIT_OK : serve(&h, &xtables);
}
