#include "privsep/prepare/host.h"

#include <netinet/in.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/backend.h"
#include "privsep/netlink.h"
#include "privsep/prepare/news.h"
#include "privsep/prepare/nftprobe.h"
#include "privsep/rules.h"

static unsigned wishes(const struct policy *policy)
{
    unsigned found = policy->setup.sends_on ? PROBE_SENDS_ON : 0;

    if (helper_policy_counts(policy))
        found |= PROBE_LIMITS;
    if (policy->setup.grant_store == GRANT_STORE_SET)
        found |= PROBE_SETS;
    if (found != PROBE_SETS) /* some grants are rules */
        found |= PROBE_DEADLINES;
    if (policy->setup.trial_end != 0)
        found |= PROBE_TRIAL;
    return found;
}

/* Says what a start is to do otherwise, and why. A try only finds out whether it can be done. */
static void tell(const struct helper_setup *setup, const char *what, const struct error *why)
{
    if (setup->mode == HELPER_RUN)
        log_info("%s: %s", what, why->text);
}

static enum probe_result probe_iptables(struct policy *policy, struct xtables *xtables,
                                        struct error *why)
{
    struct helper_setup *setup = &policy->setup;
    bool may_choose = setup->grant_store == GRANT_STORE_AUTO && !setup->forward;
    enum probe_result probed;
    struct error unused;

    if (setup->trial_end != 0 && clock_wall_ns() / NSEC_PER_SEC >= RULES_LAST_DATE) {
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
    if (probed == PROBE_USABLE)
        tell(setup, "grants are kept in sets, as rules cannot end by themselves", why);
    return probed;
}

static enum probe_result probe_nftables(const struct policy *policy, struct xtables *xtables,
                                        struct table_form *form, struct error *why)
{
    *xtables = (struct xtables){.backend = BACKEND_NFTABLES};
    probe_families(xtables);
    *form = (struct table_form){.counts = helper_policy_counts(policy)};
    return nftprobe(HELPER_FD_TABLE, &policy->setup, form, why);
}

/* Whether this back end goes with the rest of what is configured. A table of our own lets nothing
 * through that another one drops, but for the mark, which the rules of iptables do not set. */
static bool may_use(const struct helper_setup *setup, enum backend to)
{
    if (to != BACKEND_NFTABLES)
        return !setup->accept_mark;
    return setup->grant_store == GRANT_STORE_AUTO && (!setup->forward || setup->accept_mark);
}

/* Tries whether another back end than the one that was `tried` can do what is configured, as it was
 * received, and if so adds to *why that it can. Iptables-legacy comes last, as a question makes its
 * tables. */
static void advise(const struct policy *received, enum backend tried, struct error *why)
{
    static const enum backend others[] = {BACKEND_NFT, BACKEND_NFTABLES, BACKEND_LEGACY};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct policy other = *received;
        struct table_form form;
        struct xtables xtables;
        struct error unused;

        if (others[i] == tried || !may_use(&received->setup, others[i]))
            continue;
        other.setup.backend = others[i];
        other.setup.mode = HELPER_PROBE;
        if (others[i] == BACKEND_NFTABLES
                ? probe_nftables(&other, &xtables, &form, &unused) == PROBE_USABLE
                : probe_iptables(&other, &xtables, &unused) == PROBE_USABLE) {
            backend_advise(why, others[i]);
            return;
        }
    }
}

/* BACKEND_AUTO. */
static enum probe_result probe_either(struct policy *policy, struct xtables *xtables,
                                      struct table_form *form, struct error *why)
{
    const bool may_be_nftables = may_use(&policy->setup, BACKEND_NFTABLES);
    enum probe_result probed = probe_iptables(policy, xtables, why), instead;
    const struct error first = *why;
    struct xtables other;
    struct error second;

    if (!may_be_nftables || (probed != PROBE_MISSING && probed != PROBE_UNUSABLE))
        return probed;
    instead = probe_nftables(policy, &other, form, &second);
    if (instead != PROBE_USABLE) {
        backend_none(&first, &second, why);
        return instead == PROBE_UNDECIDED ? instead : probed;
    }
    *xtables = other;
    tell(&policy->setup, "the back end is nftables", &first);
    return PROBE_USABLE;
}

enum probe_result host_probe(struct policy *policy, struct xtables *xtables,
                             struct table_form *form, struct error *why)
{
    const struct policy received = *policy;
    const enum backend wanted = policy->setup.backend;
    enum probe_result probed = wanted == BACKEND_AUTO ? probe_either(policy, xtables, form, why)
                               : wanted == BACKEND_NFTABLES
                                   ? probe_nftables(policy, xtables, form, why)
                                   : probe_iptables(policy, xtables, why);

    if (probed == PROBE_MISSING || probed == PROBE_UNUSABLE)
        advise(&received, xtables->backend, why);
    return probed;
}

void host_find_sessions(const struct helper_setup *setup, struct xtables *xtables,
                        struct table_form *form)
{
    struct error why;
    bool shuts_tcp = false;

    for (size_t i = 0; i < setup->shut_count; i++)
        shuts_tcp |= setup->shut[i].protocol == IPPROTO_TCP;
    if (shuts_tcp && !(xtables->backend == BACKEND_NFTABLES
                           ? nftprobe_sessions(HELPER_FD_TABLE, form, &why)
                           : probe_sessions(xtables, &why)))
        log_warnx("a valid SYN cookie opens shut ports of TCP, because a segment of a session "
                  "cannot be told from others: %.300s; portsmith-trust(7) tells more", why.text);
}

bool host_can_tell_usage(const struct policy *policy, struct error *why)
{
    int conntrack = netlink_open(NETLINK_NETFILTER);
    struct error reason;
    bool can = news_try(&conntrack, &reason);

    if (conntrack >= 0)
        close(conntrack);
    if (can)
        return true;
    if (wishes(policy) & PROBE_LIMITS)
        return error_set(why, "Connections, in a profile, cannot be held to: %.300s; fix "
                              "that, or remove the line", reason.text);
    tell(&policy->setup, "whether a grant is used cannot be told here", &reason);
    return true;
}
