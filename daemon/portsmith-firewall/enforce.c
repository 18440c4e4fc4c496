#include "daemon/portsmith-firewall/enforce.h"

#include <stdlib.h>

#include "daemon/portsmith-firewall/closing.h"
#include "privsep/xtables/text.h"

enum { TRIES = 3, DOUBLES_MAX = 16 };

/* Runs what was written, and frees it. */
static enum restore_result run_text(struct text *text, const char *path, struct error *why)
{
    struct restore once;
    enum restore_result result;

    restore_init(&once, path);
    text_end(text);
    result = restore_run(&once, text->bytes, text->size, why);
    free(text->bytes);
    return result;
}

static enum restore_result run_jump(const char *path, const char *action, struct error *why)
{
    struct text text;

    text_begin(&text);
    ruleset_write_jump(text.out, action);
    return run_text(&text, path, why);
}

static enum restore_result remove_chains(const char *path, struct error *why)
{
    struct text text;

    text_begin(&text);
    ruleset_write_removal(text.out);
    return run_text(&text, path, why);
}

static enum restore_result empty_chain(const char *path, int chain, struct error *why)
{
    struct text text;

    text_begin(&text);
    ruleset_write_flush(text.out, chain);
    return run_text(&text, path, why);
}

/* REFUSED: there is none; a table that cannot even
 * be asked for them has none. */
static enum restore_result empty_chains(const char *path, struct error *why)
{
    enum restore_result result = RESTORE_REFUSED;

    for (int chain = 0; chain < RULESET_CHAINS; chain++) {
        enum restore_result emptied = empty_chain(path, chain, why);

        if (emptied == RESTORE_DONE)
            result = RESTORE_DONE;
        else if (emptied != RESTORE_REFUSED)
            return emptied;
    }
    return result;
}

/* A chain that another program's rule leads to cannot go. */
static enum restore_result remove_or_empty_chains(const char *path, struct error *why)
{
    enum restore_result result = remove_chains(path, why);

    if (result == RESTORE_DONE)
        return RESTORE_DONE;
    result = empty_chains(path, why);
    if (result != RESTORE_DONE)
        return result == RESTORE_REFUSED ? RESTORE_DONE : result;
    if (remove_chains(path, why) == RESTORE_DONE) /* it was busy indeed */
        return RESTORE_DONE;
    error_set(why, "a rule of another program leads to the chain portsmith-firewall or "
                   "portsmith-trial, which is still there, but empty: remove that rule, then do "
                   "this again");
    return RESTORE_REFUSED;
}

static enum restore_result remove_family(const char *path, struct error *why)
{
    enum restore_result result = RESTORE_DONE;

    for (int n = 0; n < DOUBLES_MAX && result == RESTORE_DONE; n++)
        result = run_jump(path, "-D", why);
    if (result == RESTORE_REFUSED)
        return remove_or_empty_chains(path, why);
    if (result == RESTORE_DONE) {
        error_set(why, "there are more than %d jumps to the chain portsmith-firewall; do this again "
                       "until they are gone", DOUBLES_MAX);
        return RESTORE_REFUSED;
    }
    return result;
}

static enum restore_result try_plan(const struct xtables *xtables, enum family family,
                                    const struct plan *plan, struct error *why)
{
    const char *path = xtables->paths[family];
    enum restore_result has_jump = run_jump(path, "-C", why);
    struct text text;

    if (has_jump != RESTORE_DONE && has_jump != RESTORE_REFUSED)
        return has_jump;
    text_begin(&text);
    ruleset_write(text.out, plan, family, has_jump == RESTORE_DONE,
                  xtables->tells_sessions[family]);
    return run_text(&text, path, why);
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
    return run_text(&text, xtables->paths[family], &unused) == RESTORE_DONE;
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
            const char *path = probe_program((enum backend)backend, family);
            struct error reason;

            if (!path || (backend == BACKEND_LEGACY && !probe_legacy_in_use(family)) ||
                remove_family(path, &reason) == RESTORE_DONE)
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
    for (int backend = BACKEND_NFT; backend <= BACKEND_LEGACY; backend++)
        for (enum family family = IPV4; family < FAMILIES; family++) {
            const char *path = probe_program((enum backend)backend, family);
            struct error unused;
            struct text text;

            if (!path || (backend == BACKEND_LEGACY && !probe_legacy_in_use(family)))
                continue;
            text_begin(&text);
            fputs("*mangle\n-C PREROUTING -j portsmith\nCOMMIT\n", text.out);
            if (run_text(&text, path, &unused) == RESTORE_DONE)
                return true;
        }
    return false;
}
