#include "daemon/portsmith-firewall/viaiptables.h"

#include "daemon/portsmith-firewall/vianftables.h"
#include "privsep/backend.h"
#include "privsep/xtables/probe.h"
#include "privsep/xtables/takedown.h"
#include "privsep/xtables/text.h"

enum { TRIES = 3 };

enum restore_result via_iptables_remove(const char *path, struct error *why)
{
    enum restore_result result = jump_remove(path, &ruleset_jump, why);

    if (result != RESTORE_DONE)
        return result;
    return chains_remove(path, ruleset_jump.table, ruleset_chains, RULESET_CHAINS, why);
}

static enum restore_result try_plan(const struct xtables *xtables, enum family family,
                                    const struct plan *plan, struct error *why)
{
    const char *path = xtables->paths[family];
    enum restore_result has_jump = jump_run(path, "-C", &ruleset_jump, why);
    struct text text;

    if (has_jump != RESTORE_DONE && has_jump != RESTORE_REFUSED)
        return has_jump;
    text_begin(&text);
    ruleset_write(text.out, plan, family, has_jump == RESTORE_DONE,
                  xtables->tells_sessions[family]);
    return restore_run_once(path, &text, why);
}

static enum restore_result put_family(const struct xtables *xtables, enum family family,
                                      const struct plan *plan, struct error *why)
{
    enum restore_result result = RESTORE_BUSY;

    if (!plan->is_confirmed && !plan->on_trial)
        return via_iptables_remove(xtables->paths[family], why);
    /* REFUSED too: another program may have changed things in between. */
    for (int i = 0; i < TRIES && result != RESTORE_DONE; i++)
        result = try_plan(xtables, family, plan, why);
    return result;
}

/* The one that failed, too: its answer may have come too late. */
static void undo(const struct xtables *xtables, enum family failed, const struct plan *before,
                 struct error *why)
{
    const struct error reason = *why;
    struct error unused;

    for (enum family family = IPV4; family <= failed; family++) {
        if (!xtables->in_use[family] ||
            put_family(xtables, family, before, &unused) == RESTORE_DONE ||
            family == failed)
            continue;
        error_set(why, "%.300s; nor could IPv4 be made as it was: run portsmith-firewall remove",
                  reason.text);
    }
}

/* Says what this host lacks, if it lacks something, and what to do, in place of what iptables
 * said. */
static void explain(const struct enforcer *e, enum restore_result result, const struct plan *plan,
                    struct error *why)
{
    const unsigned wishes = plan->on_trial ? PROBE_DEADLINES : 0;
    struct xtables probed;
    struct error lack, unused;

    if ((result != RESTORE_REFUSED && result != RESTORE_IMPOSSIBLE) ||
        probe_xtables(&probed, e->backend, wishes, &lack) != PROBE_UNUSABLE)
        return;
    *why = lack;
    if (via_nftables_can(&unused))
        backend_advise(why, BACKEND_NFTABLES);
}

/* Some 15 s, should another program hold the xtables lock. */
static enum restore_result put(const struct enforcer *e, const struct plan *plan,
                               const struct plan *before, struct error *why)
{
    for (enum family family = IPV4; family < FAMILIES; family++) {
        enum restore_result result;

        if (!e->in_use[family])
            continue;
        result = put_family(&e->xtables, family, plan, why);
        if (result == RESTORE_DONE)
            continue;
        explain(e, result, plan, why);
        if (before)
            undo(&e->xtables, family, before, why);
        return result;
    }
    return RESTORE_DONE;
}

static bool looks_intact(const struct enforcer *e, enum family family, const struct plan *plan)
{
    struct error unused;
    struct text text;

    text_begin(&text);
    ruleset_write_checks(text.out, plan);
    return restore_run_once(e->xtables.paths[family], &text, &unused) == RESTORE_DONE;
}

static bool find_sessions(struct enforcer *e, struct error *why)
{
    return probe_sessions(&e->xtables, why);
}

const struct way via_iptables = {find_sessions, put, looks_intact};
