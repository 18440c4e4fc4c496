#include "privsep/prepare/host.h"

#include <netinet/in.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/prepare/news.h"
#include "privsep/prepare/nftprobe.h"
#include "privsep/netlink.h"
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
    if (probed != PROBE_USABLE)
        return probed;
    log_info("grants are kept in sets, as rules cannot end by themselves: %s", why->text);
    return PROBE_USABLE;
}

static enum probe_result probe_nftables(const struct policy *policy, struct xtables *xtables,
                                        struct table_form *form, struct error *why)
{
    *xtables = (struct xtables){.backend = BACKEND_NFTABLES};
    probe_families(xtables);
    *form = (struct table_form){.counts = helper_policy_counts(policy)};
    return nftprobe(HELPER_FD_TABLE, &policy->setup, form, why);
}

/* Whether another back end than iptables could do what is configured. A table of our own lets
 * nothing through that another one drops, but for the mark. */
static bool may_be_nftables(const struct helper_setup *setup, enum grant_store wanted)
{
    return setup->backend == BACKEND_AUTO && wanted == GRANT_STORE_AUTO &&
           (!setup->forward || setup->accept_mark);
}

enum probe_result host_probe(struct policy *policy, struct xtables *xtables,
                             struct table_form *form, struct error *why)
{
    const struct helper_setup *setup = &policy->setup;
    const bool may_choose = may_be_nftables(setup, setup->grant_store);
    enum probe_result probed;
    struct xtables instead;
    struct error first, second;

    if (setup->backend == BACKEND_NFTABLES)
        return probe_nftables(policy, xtables, form, why);
    probed = probe_iptables(policy, xtables, why);
    if (!may_choose || (probed != PROBE_MISSING && probed != PROBE_UNUSABLE))
        return probed;
    first = *why;
    if (probe_nftables(policy, &instead, form, &second) != PROBE_USABLE) {
        error_set(why, "%.220s; and in place of that the back end cannot be nftables: %.220s",
                  first.text, second.text);
        return probed;
    }
    *xtables = instead;
    log_info("the back end is nftables: %s", why->text);
    return PROBE_USABLE;
}

void host_find_sessions(const struct helper_setup *setup, struct xtables *xtables,
                        struct table_form *form)
{
    struct error why;
    bool shuts_tcp = false;

    for (size_t i = 0; i < setup->close_count; i++)
        shuts_tcp |= setup->close[i].protocol == IPPROTO_TCP;
    if (shuts_tcp && !(xtables->backend == BACKEND_NFTABLES
                           ? nftprobe_sessions(HELPER_FD_TABLE, form, &why)
                           : probe_sessions(xtables, &why)))
        log_warnx("whoever has a valid SYN cookie gets in at shut ports of TCP, since a segment "
                  "of a session cannot be told: %.300s; portsmith-trust(7) tells more", why.text);
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
        return error_set(why, "Connections, in a profile, cannot be held to: %.300s; mend "
                              "that, or remove the line", reason.text);
    log_info("whether a grant is used cannot be told here: %s", reason.text);
    return true;
}
