#include "daemon/portsmith-firewall/enforce.h"

#include <linux/netfilter.h>

#include "daemon/portsmith-firewall/closedtable.h"
#include "daemon/portsmith-firewall/closing.h"
#include "daemon/portsmith-firewall/viaiptables.h"
#include "daemon/portsmith-firewall/vianftables.h"
#include "privsep/backend.h"
#include "privsep/nftables/table.h"
#include "privsep/xtables/probe.h"

/* ---- which way ----------------------------------------------------------- */

/* Whether iptables is there. `tries`: whether it can also do all that portsmithd wants of it, with
 * grants as rules or in sets. */
static bool iptables_serves(bool tries)
{
    struct xtables unused;
    struct error why;
    enum probe_result probed;

    if (!probe_choose(&unused, BACKEND_AUTO, &why))
        return false;
    if (!tries)
        return true;
    probed = probe_xtables(&unused, BACKEND_AUTO, PROBE_DEADLINES, &why);
    if (probed == PROBE_UNUSABLE)
        probed = probe_xtables(&unused, BACKEND_AUTO, PROBE_SETS, &why);
    return probed == PROBE_USABLE || probed == PROBE_UNDECIDED;
}

/* Whether BACKEND_AUTO ends in nftables. If neither serves, *why says why that does not. */
static bool auto_is_nftables(bool tries, struct error *why)
{
    if (!tries && via_nftables_finds(NFPROTO_INET, CLOSED_TABLE, NULL))
        return true;
    return !iptables_serves(tries) && via_nftables_can(why);
}

/* Says what is missing where the programs of iptables are, and what would do in their place.
 * `nftables` is why BACKEND_AUTO cannot be nftables. Returns false. */
static bool tell_missing(enum backend wanted, const struct error *nftables, struct error *why)
{
    const struct error iptables = *why;
    struct error unused;

    if (wanted == BACKEND_AUTO)
        return backend_none(&iptables, nftables, why);
    if (via_nftables_can(&unused))
        backend_advise(why, BACKEND_NFTABLES);
    return false;
}

bool enforce_choose(struct enforcer *e, const struct config *c, bool tries, struct error *why)
{
    struct error nftables;

    *e = (struct enforcer){.way = &via_nftables, .backend = BACKEND_NFTABLES,
                           .in_use = {true, true}, .accept_mark = c->accept_mark};
    if (c->backend == BACKEND_NFTABLES ||
        (c->backend == BACKEND_AUTO && auto_is_nftables(tries, &nftables)))
        return true;
    if (!probe_choose(&e->xtables, c->backend, why))
        return tell_missing(c->backend, &nftables, why);
    e->way = &via_iptables;
    e->backend = e->xtables.backend;
    for (enum family family = IPV4; family < FAMILIES; family++)
        e->in_use[family] = e->xtables.in_use[family];
    return true;
}

bool enforce_find_sessions(struct enforcer *e, struct error *why)
{
    return e->way->find_sessions(e, why);
}

bool enforce_lets_knocks_in(const struct enforcer *e)
{
    return e->backend != BACKEND_NFTABLES || e->accept_mark != 0;
}

/* ---- changing and looking ------------------------------------------------ */

enum restore_result enforce_plan(const struct enforcer *e, const struct plan *plan,
                                 const struct plan *before, struct error *why)
{
    enum restore_result result = e->way->put(e, plan, before, why);
    struct error unused;

    if (result == RESTORE_DONE && e->backend != BACKEND_NFTABLES)
        via_nftables_remove(&unused);
    return result;
}

bool enforce_looks_intact(const struct enforcer *e, enum family family, const struct plan *plan)
{
    return e->way->looks_intact(e, family, plan);
}

enum enforce_state enforce_look(const struct config *c)
{
    struct enforcer e;
    struct error unused;
    struct plan plan;

    if (!closing_read(&plan, c, &unused))
        return ENFORCE_UNKNOWN;
    if (!plan.is_confirmed && !plan.on_trial)
        return ENFORCE_NOTHING;
    if (!enforce_choose(&e, c, false, &unused))
        return ENFORCE_UNKNOWN;
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (e.in_use[family] && !enforce_looks_intact(&e, family, &plan))
            return ENFORCE_MISSING;
    return ENFORCE_IN_FORCE;
}

/* ---- removing ------------------------------------------------------------ */

/* Where a program is missing, what it wrote stays. Without iptables there may be nothing that it
 * wrote: the kernel knows. False with the reason. */
static bool is_rid_of_iptables(struct error *why)
{
    static const uint8_t protocols[FAMILIES] = {NFPROTO_IPV4, NFPROTO_IPV6};
    struct xtables unused;

    if (probe_choose(&unused, BACKEND_AUTO, why))
        return true;
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (probe_legacy_in_use(family) ||
            via_nftables_finds(protocols[family], ruleset_jump.table, ruleset_jump.to))
            return false;
    return true;
}

bool enforce_removal(struct error *why)
{
    bool removed = true;

    for (int backend = BACKEND_NFT; backend <= BACKEND_LEGACY; backend++) {
        for (enum family family = IPV4; family < FAMILIES; family++) {
            const char *path = probe_program_in_use((enum backend)backend, family);
            struct error reason;

            if (!path || via_iptables_remove(path, &reason) == RESTORE_DONE)
                continue;
            *why = reason;
            removed = false;
        }
    }
    return via_nftables_remove(why) && removed && is_rid_of_iptables(why);
}

bool enforce_finds_portsmithd(void)
{
    static const struct jump its_jump = {"mangle", "PREROUTING", "portsmith"};

    if (via_nftables_finds(NFPROTO_INET, TABLE_NAME, NULL))
        return true;
    for (int backend = BACKEND_NFT; backend <= BACKEND_LEGACY; backend++)
        for (enum family family = IPV4; family < FAMILIES; family++) {
            const char *path = probe_program_in_use((enum backend)backend, family);
            struct error unused;

            if (path && jump_run(path, "-C", &its_jump, &unused) == RESTORE_DONE)
                return true;
        }
    return false;
}
