#include "privsep/prepare/establish.h"

#include <stdio.h>
#include <string.h>

#include "privsep/xtables/takedown.h"
#include "privsep/xtables/text.h"

/* The rule by which the chain of a jump, with ShutWith = reset, refuses what is marked; written
 * as a jump is. Without a table where the chain has none. */
static const struct jump refusals[RULES_EVER] = {
    [RULES_TO_INPUT] = {"filter", "portsmith -m mark --mark " RULES_RESET_MARK, "REJECT"},
    [RULES_TO_GATEWAY] = {"filter", "portsmith-gateway -m mark --mark " RULES_RESET_MARK, "REJECT"},
};

static enum restore_result to_top(const char *path, const struct jump *jump, struct error *why)
{
    struct text text;

    text_begin(&text);
    fprintf(text.out, "*%s\n-D %s -j %s\n-I %s 1 -j %s\nCOMMIT\n", jump->table, jump->from,
            jump->to, jump->from, jump->to);
    return restore_run_once(path, &text, why);
}

/* A jump stays wherever an admin put it. But once its chain is to refuse what is marked, and
 * does not yet, it goes to the top: what is above it was harmless while mangle dropped all
 * that is shut, and may accept it now. */
static bool move_jumps(const char *path, const struct rules *rules, struct error *why)
{
    for (size_t i = 0; i < RULES_JUMPS; i++) {
        enum restore_result result;

        if (!rules->wants[i] || !refusals[i].table)
            continue;
        result = jump_run(path, "-C", &rules_jumps[i], why);
        if (result == RESTORE_REFUSED)
            continue; /* it is missing, and will be put at the top */
        if (result == RESTORE_DONE)
            result = jump_run(path, "-C", &refusals[i], why);
        if (result == RESTORE_REFUSED)
            result = to_top(path, &rules_jumps[i], why);
        if (result != RESTORE_DONE)
            return false;
    }
    return true;
}

/* Removes a chain that no jump of ours leads to. One that another program's rule leads to
 * stays; but it is empty, and that will do. */
static bool take_down(const char *path, const char *table, const char *chain, struct error *why)
{
    enum restore_result result = chains_remove(path, table, &chain, 1, why);

    return result == RESTORE_DONE || result == RESTORE_REFUSED;
}

/* Removes what an earlier configuration or an earlier version left. The nat table is left
 * alone where asking for a chain in it would make it. */
static bool remove_left_over(const char *path, const struct rules *rules, bool has_nat,
                             struct error *why)
{
    const struct place *through = &rules_places[PLACE_GATEWAY];

    for (size_t i = 0; i < RULES_EVER; i++) {
        const struct jump *jump = &rules_jumps[i];
        bool is_nat = strcmp(jump->table, rules_tables[RULES_NAT]) == 0;

        if (!rules->wants[i] && (!is_nat || has_nat) &&
            (jump_remove(path, jump, why) != RESTORE_DONE ||
             !take_down(path, jump->table, jump->to, why)))
            return false;
    }
    return rules->wants[RULES_TO_GATEWAY] ||
           take_down(path, rules_tables[through->table], through->chain, why);
}

bool establish_first(struct firewall *fw, enum family family, const struct rules *rules,
                     bool has_nat, const struct grants *grants, struct error *why)
{
    const char *path = fw->restore[family].path;

    if ((rules->refuses && !move_jumps(path, rules, why)) ||
        !helper_iptables_establish(fw, family, grants, why) ||
        !remove_left_over(path, rules, has_nat, why))
        return false;
    if (fw->plan->grant_store != GRANT_STORE_SET)
        helper_iptables_remove_set(fw, family);
    return true;
}
