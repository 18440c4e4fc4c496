#include "enforce.h"

#include <stdlib.h>

#include "restore.h"
#include "text.h"

enum { TRIES = 3, DOUBLES_MAX = 16 };

/* Runs what was written, and frees it. */
static enum restore_result run_text(struct text *text, const char *path, struct error *why)
{
    struct restore once;
    enum restore_result result;

    helper_restore_init(&once, path);
    helper_text_end(text);
    result = helper_restore_run(&once, text->bytes, text->size, why);
    free(text->bytes);
    return result;
}

static enum restore_result run_jump(const char *path, const char *action, struct error *why)
{
    struct text text;

    helper_text_begin(&text);
    ruleset_write_jump(text.out, action);
    return run_text(&text, path, why);
}

static enum restore_result remove_chains(const char *path, struct error *why)
{
    struct text text;

    helper_text_begin(&text);
    ruleset_write_removal(text.out);
    return run_text(&text, path, why);
}

static bool remove_family(const char *path, struct error *why)
{
    enum restore_result result = RESTORE_DONE;
    bool found = false;

    for (int n = 0; n < DOUBLES_MAX && result == RESTORE_DONE; n++) {
        result = run_jump(path, "-D", why);
        found |= result == RESTORE_DONE;
    }
    if (result != RESTORE_REFUSED)
        return false;
    /* A table that cannot even be asked for the chains has none. */
    return remove_chains(path, why) == RESTORE_DONE || !found;
}

static enum restore_result try_plan(const char *path, int family, const struct plan *plan,
                                    struct error *why)
{
    enum restore_result has_jump = run_jump(path, "-C", why);
    struct text text;

    if (has_jump != RESTORE_DONE && has_jump != RESTORE_REFUSED)
        return has_jump;
    helper_text_begin(&text);
    ruleset_write(text.out, plan, family, has_jump == RESTORE_DONE);
    return run_text(&text, path, why);
}

static bool enforce_family(const char *path, int family, const struct plan *plan,
                           struct error *why)
{
    enum restore_result result = RESTORE_BUSY;

    if (!plan->is_confirmed && !plan->on_trial)
        return remove_family(path, why);
    /* REFUSED too: another program may have changed things in between. */
    for (int i = 0; i < TRIES && result != RESTORE_DONE; i++)
        result = try_plan(path, family, plan, why);
    return result == RESTORE_DONE;
}

/* The one that failed, too: its answer may have come too late. */
static void undo(const struct xtables *xtables, int failed, const struct plan *before,
                 struct error *why)
{
    const struct error reason = *why;
    struct error unused;

    for (int family = IPV4; family <= failed; family++) {
        if (!xtables->in_use[family] ||
            enforce_family(xtables->paths[family], family, before, &unused) || family == failed)
            continue;
        error_set(why, "%.300s; nor could IPv4 be made as it was: run portsmith-firewall restore",
                  reason.text);
    }
}

bool enforce_plan(const struct xtables *xtables, const struct plan *plan,
                  const struct plan *before, struct error *why)
{
    for (int family = IPV4; family < FAMILIES; family++) {
        if (!xtables->in_use[family] ||
            enforce_family(xtables->paths[family], family, plan, why))
            continue;
        undo(xtables, family, before, why);
        return false;
    }
    return true;
}

bool enforce_looks_intact(const struct xtables *xtables, int family, const struct plan *plan)
{
    struct error unused;
    struct text text;

    helper_text_begin(&text);
    ruleset_write_checks(text.out, plan);
    return run_text(&text, xtables->paths[family], &unused) == RESTORE_DONE;
}

bool enforce_removal(struct error *why)
{
    bool removed = true;

    for (int backend = BACKEND_NFT; backend <= BACKEND_LEGACY; backend++) {
        for (int family = IPV4; family < FAMILIES; family++) {
            const char *path = helper_probe_program((enum backend)backend, family);

            if (path && (backend != BACKEND_LEGACY || helper_probe_legacy_in_use(family)))
                removed = remove_family(path, why) && removed;
        }
    }
    return removed;
}
