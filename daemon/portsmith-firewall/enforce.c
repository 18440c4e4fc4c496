#include "daemon/portsmith-firewall/enforce.h"

#include "daemon/portsmith-firewall/closing.h"
#include "privsep/xtables/takedown.h"
#include "privsep/xtables/text.h"

enum { TRIES = 3 };

static enum restore_result remove_family(const char *path, struct error *why)
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

static enum restore_result enforce_family(const struct xtables *xtables, enum family family,
                                          const struct plan *plan, struct error *why)
{
    enum restore_result result = RESTORE_BUSY;

    if (!plan->is_confirmed && !plan->on_trial)
        return remove_family(xtables->paths[family], why);
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
            enforce_family(xtables, family, before, &unused) == RESTORE_DONE ||
            family == failed)
            continue;
        error_set(why, "%.300s; nor could IPv4 be made as it was: run portsmith-firewall restore",
                  reason.text);
    }
}

enum restore_result enforce_plan(const struct xtables *xtables, const struct plan *plan,
                                 const struct plan *before, struct error *why)
{
    for (enum family family = IPV4; family < FAMILIES; family++) {
        enum restore_result result;

        if (!xtables->in_use[family])
            continue;
        result = enforce_family(xtables, family, plan, why);
        if (result == RESTORE_DONE)
            continue;
        if (before)
            undo(xtables, family, before, why);
        return result;
    }
    return RESTORE_DONE;
}

bool enforce_looks_intact(const struct xtables *xtables, enum family family,
                          const struct plan *plan)
{
    struct error unused;
    struct text text;

    text_begin(&text);
    ruleset_write_checks(text.out, plan);
    return restore_run_once(xtables->paths[family], &text, &unused) == RESTORE_DONE;
}

enum enforce_state enforce_look(const struct config *c)
{
    struct xtables xtables;
    struct error unused;
    struct plan plan;

    if (!closing_read(&plan, c, &unused))
        return ENFORCE_UNKNOWN;
    if (!plan.is_confirmed && !plan.on_trial)
        return ENFORCE_NOTHING;
    if (!probe_choose(&xtables, c->backend, &unused))
        return ENFORCE_UNKNOWN;
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (xtables.in_use[family] && !enforce_looks_intact(&xtables, family, &plan))
            return ENFORCE_MISSING;
    return ENFORCE_IN_FORCE;
}

bool enforce_removal(struct error *why)
{
    struct xtables unused;
    bool removed = true;

    for (int backend = BACKEND_NFT; backend <= BACKEND_LEGACY; backend++) {
        for (enum family family = IPV4; family < FAMILIES; family++) {
            const char *path = probe_program_in_use((enum backend)backend, family);
            struct error reason;

            if (!path || remove_family(path, &reason) == RESTORE_DONE)
                continue;
            *why = reason;
            removed = false;
        }
    }
    /* Where its program is missing, what it wrote stays. */
    return removed && probe_choose(&unused, BACKEND_AUTO, why);
}

bool enforce_finds_portsmithd(void)
{
    static const struct jump its_jump = {"mangle", "PREROUTING", "portsmith"};

    for (int backend = BACKEND_NFT; backend <= BACKEND_LEGACY; backend++)
        for (enum family family = IPV4; family < FAMILIES; family++) {
            const char *path = probe_program_in_use((enum backend)backend, family);
            struct error unused;

            if (path && jump_run(path, "-C", &its_jump, &unused) == RESTORE_DONE)
                return true;
        }
    return false;
}
