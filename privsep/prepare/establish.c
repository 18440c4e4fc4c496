#include "privsep/prepare/establish.h"

#include <stdio.h>
#include <string.h>

#include "privsep/rules.h"
#include "privsep/xtables/takedown.h"
#include "privsep/xtables/text.h"

/* The rule by which the chain of a jump, with CloseWith = reset, refuses what is marked; written
 * as a jump is. Without a table where the chain has none. */
static const struct jump refusals[RULES_JUMPS] = {
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
static bool move_jumps(const struct firewall *fw, enum family family, struct error *why)
{
    const char *path = fw->xtables.paths[family];

    for (size_t i = 0; i < RULES_EARLIER && fw->setup->close_with_reset; i++) {
        enum restore_result result;

        if (!fw->rules[family].wants[i] || !refusals[i].table)
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
static bool remove_left_over(const struct firewall *fw, enum family family, struct error *why)
{
    const struct rules *rules = &fw->rules[family];
    const struct place *through = &rules_places[PLACE_GATEWAY];
    const char *path = fw->xtables.paths[family];

    for (size_t i = 0; i < RULES_JUMPS; i++) {
        const struct jump *jump = &rules_jumps[i];
        bool is_nat = strcmp(jump->table, rules_tables[RULES_NAT]) == 0;

        if (!rules->wants[i] && (!is_nat || fw->xtables.has_nat[family]) &&
            (jump_remove(path, jump, why) != RESTORE_DONE ||
             !take_down(path, jump->table, jump->to, why)))
            return false;
    }
    return *rules->texts[RULES_HEADS + PLACE_GATEWAY] != '\0' ||
           take_down(path, rules_tables[through->table], through->chain, why);
}

bool establish_first(struct firewall *fw, enum family family, struct grants *grants,
                     struct error *why)
{
    if (!move_jumps(fw, family, why) ||
        !helper_iptables_change(fw, family, IPTABLES_ESTABLISH, grants, why) ||
        !remove_left_over(fw, family, why)) {
        fw->unsure[family] = true;
        return false;
    }
    helper_iptables_remove_set(fw, family);
    return true;
}
