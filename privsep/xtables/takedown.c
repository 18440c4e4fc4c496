/* What portsmithd's helper and portsmith-firewall leave behind, and how it is taken away. */
#include "privsep/xtables/takedown.h"

#include <stdio.h>

#include "privsep/xtables/text.h"

enum restore_result jump_remove(const char *path, const struct jump *jump, struct error *why)
{
    enum { DOUBLES_MAX = 16 };
    enum restore_result result = RESTORE_DONE;

    for (int n = 0; n < DOUBLES_MAX && result == RESTORE_DONE; n++)
        result = jump_run(path, "-D", jump, why);
    if (result == RESTORE_REFUSED)
        return RESTORE_DONE;
    if (result == RESTORE_DONE) {
        error_set(why, "there are more than %d jumps to the chain %s; do this again until they "
                       "are gone", DOUBLES_MAX, jump->to);
        return RESTORE_REFUSED;
    }
    return result;
}

/* Empties the chains that are there. RESTORE_REFUSED: none is there. A table that cannot even be
 * asked for its chains has none. */
static enum restore_result empty_each(const char *path, const char *table,
                                      const char *const *chains, size_t count, struct error *why)
{
    enum restore_result result = RESTORE_REFUSED;

    for (size_t i = 0; i < count; i++) {
        enum restore_result emptied;
        struct text text;

        text_begin(&text);
        fprintf(text.out, "*%s\n-F %s\nCOMMIT\n", table, chains[i]);
        emptied = restore_run_once(path, &text, why);
        if (emptied == RESTORE_DONE)
            result = RESTORE_DONE;
        else if (emptied != RESTORE_REFUSED)
            return emptied;
    }
    return result;
}

/* Removes the chains. A line with ":" makes a chain that is missing, so that "-X" finds each. */
static enum restore_result remove_all(const char *path, const char *table,
                                      const char *const *chains, size_t count, struct error *why)
{
    struct text text;

    text_begin(&text);
    fprintf(text.out, "*%s\n", table);
    for (size_t i = 0; i < count; i++)
        fprintf(text.out, ":%s - [0:0]\n", chains[i]);
    for (size_t i = 0; i < count; i++)
        fprintf(text.out, "-X %s\n", chains[i]);
    fputs("COMMIT\n", text.out);
    return restore_run_once(path, &text, why);
}

enum restore_result chains_remove(const char *path, const char *table, const char *const *chains,
                                  size_t count, struct error *why)
{
    enum restore_result result = empty_each(path, table, chains, count, why);
    char names[200] = "";
    size_t used = 0;

    if (result != RESTORE_DONE)
        return result == RESTORE_REFUSED ? RESTORE_DONE : result;
    result = remove_all(path, table, chains, count, why);
    if (result != RESTORE_REFUSED && result != RESTORE_BUSY && result != RESTORE_IMPOSSIBLE)
        return result;
    for (size_t i = 0; i < count && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? " or " : "",
                                 chains[i]);
    error_set(why, "a rule of another program leads to the chain %s (table %s), which is still "
                   "there, but empty: remove that rule, then do this again", names, table);
    return RESTORE_REFUSED;
}
