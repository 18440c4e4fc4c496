#include "privsep/prepare/release.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <unistd.h>

#include "common/log.h"
#include "privsep/backend.h"
#include "privsep/nftables/asking.h"
#include "privsep/prepare/rules.h"
#include "privsep/prepare/table.h"
#include "privsep/xtables/ipsetorder.h"
#include "privsep/xtables/probe.h"
#include "privsep/xtables/takedown.h"

/* Every chain of ours, and the scratch chain of a probe that was killed. */
static const struct {
    enum rules_table table;
    const char *chains[7];
    size_t count;
} ours[] = {
    {RULES_NAT, {"portsmith", "portsmith-probe"}, 2},
    {RULES_FILTER, {"portsmith", "portsmith-open", "portsmith-gateway", "portsmith-through",
                    "portsmith-reset", "portsmith-forward", "portsmith-probe"}, 7},
    {RULES_MANGLE, {"portsmith", "portsmith-input", "portsmith-translated", "portsmith-close",
                    "portsmith-shut", "portsmith-probe"}, 6},
};

/* Removes all of ours from one family. A question about the nat table may make it, so where it is
 * not there none is asked. */
static bool release_family(const char *path, bool has_nat, struct error *why)
{
    bool released = true;

    for (size_t i = 0; i < RULES_EVER; i++)
        if ((!rules_is_in_table(&rules_jumps[i], RULES_NAT) || has_nat) &&
            jump_remove(path, &rules_jumps[i], why) != RESTORE_DONE)
            return false;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        struct error reason;

        if ((ours[i].table == RULES_NAT && !has_nat) ||
            chains_remove(path, rules_tables[ours[i].table], ours[i].chains, ours[i].count,
                          &reason) == RESTORE_DONE)
            continue;
        *why = reason;
        released = false;
    }
    return released;
}

bool helper_release(enum backend backend, struct error *why)
{
    bool released = true;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        const char *path = probe_program_in_use(backend, family);
        struct error reason;

        if (!path || release_family(path, probe_has_nat(backend, family), &reason))
            continue;
        *why = reason;
        released = false;
    }
    return released;
}

/* Removes a set, if it is there. */
static bool remove_set(struct ipset *set, const char *name, struct error *why)
{
    struct ipset_order destroy;
    int error;

    ipset_order_destroy(&destroy, name);
    error = ipset_run(set, destroy.bytes, destroy.size);
    return ipset_is_absent(error) || ipset_is_done(error, name, why);
}

/* What was being filled, or probed, by a process that was killed is nobody's. */
static bool remove_sets(struct error *why)
{
    struct error unused;
    struct ipset set;
    bool done;

    ipset_open(&set);
    done = remove_set(&set, ipset_names[IPV4], why);
    done = remove_set(&set, ipset_names[IPV6], why) && done;
    remove_set(&set, IPSET_NEXT, &unused);
    remove_set(&set, PROBE_SCRATCH, &unused);
    ipset_close(&set);
    return done;
}

static bool release_iptables(struct error *why)
{
    struct error reason;
    bool done = helper_release(BACKEND_NFT, why);

    if (!helper_release(BACKEND_LEGACY, &reason)) {
        *why = reason;
        done = false;
    }
    return done && remove_sets(why); /* rules may refer to a set still */
}

/* Only whether there is an answer counts. */
static void ignore(void *into, struct span answer)
{
    (void)into;
    (void)answer;
}

/* Whether a table of iptables-nft has this chain. Where its programs are missing, only the kernel
 * can be asked. */
static bool has_chain(int *kernel, enum family family, const char *table, const char *chain)
{
    return asking(kernel, NFT_MSG_GETCHAIN, family == IPV6 ? NFPROTO_IPV6 : NFPROTO_IPV4, table,
                  chain, ignore, NULL) == 0;
}

static bool has_chains(enum family family)
{
    int kernel = netlink_open(NETLINK_NETFILTER);
    bool found = false;

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        for (size_t j = 0; j < ours[i].count && !found; j++)
            found = has_chain(&kernel, family, rules_tables[ours[i].table], ours[i].chains[j]);
    if (kernel >= 0)
        close(kernel);
    return found;
}

/* Whether rules may be left of the back end that was in use, or, where nobody knows that, of the
 * one that would be used now. They stay where its program is missing, if there are any. */
static bool may_remain(enum backend in_use, struct error *why)
{
    struct xtables unused;
    bool found = false;

    if (in_use == BACKEND_NFTABLES || probe_choose(&unused, in_use, why))
        return false;
    for (enum family family = IPV4; family < FAMILIES; family++)
        found |= has_chains(family) || probe_legacy_in_use(family);
    return found;
}

int helper_release_all(enum backend in_use, int table)
{
    struct error why, reason;
    bool done = release_iptables(&why) && !may_remain(in_use, &why);

    if (!table_release(table, &reason)) {
        why = reason;
        done = false;
    }
    if (done)
        return HELPER_EXIT_OK;
    log_warnx("rules may remain: %s", why.text);
    return HELPER_EXIT_FAILURE;
}

static bool release_other(enum backend in_use, int table, struct error *why)
{
    if (in_use == BACKEND_NFTABLES)
        return release_iptables(why) && !may_remain(BACKEND_AUTO, why);
    return table_release(table, why) &&
           helper_release(in_use == BACKEND_NFT ? BACKEND_LEGACY : BACKEND_NFT, why);
}

int helper_release_other(enum backend in_use, int table)
{
    struct error why;

    if (release_other(in_use, table, &why))
        return HELPER_EXIT_OK;
    log_warnx("rules of another back end than %s may remain: %s", backend_name(in_use), why.text);
    return HELPER_EXIT_FAILURE;
}
