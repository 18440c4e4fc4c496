#include "privsep/prepare/establish.h"

#include <stdio.h>

#include "privsep/xtables/takedown.h"
#include "privsep/xtables/text.h"

/* The rule by which the chain of a jump, with ShutWith = reset, refuses what is marked; written
 * as a jump is. Without a table where the chain has none. */
static const struct jump refusals[RULES_EVER] = {
    [RULES_TO_INPUT] = {"filter", "portsmith -m mark --mark " RULES_RESET_MARK, "REJECT"},
    [RULES_TO_GATEWAY] = {"filter", "portsmith-gateway -m mark --mark " RULES_RESET_MARK, "REJECT"},
};

static const struct place *const through = &rules_places[PLACE_GATEWAY];

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

/* Tries to make all chains that may be left over, and to remove them, in one transaction for each
 * table. Where one is there already its table's is refused. */
static bool nothing_is_left_over(const char *path, const struct rules *rules, bool has_nat)
{
    struct error unused;
    struct text text;

    text_begin(&text);
    for (enum rules_table t = 0; t < RULES_TABLES; t++) {
        if (t == RULES_NAT && !has_nat)
            continue;
        fprintf(text.out, "*%s\n", rules_tables[t]);
        for (size_t i = 0; i < RULES_EVER; i++)
            if (!rules->wants[i] && rules_is_in_table(&rules_jumps[i], t))
                fprintf(text.out, "-N %s\n-X %s\n", rules_jumps[i].to, rules_jumps[i].to);
        if (t == through->table && !rules->wants[RULES_TO_GATEWAY])
            fprintf(text.out, "-N %s\n-X %s\n", through->chain, through->chain);
        fputs("COMMIT\n", text.out);
    }
    return restore_run_once(path, &text, &unused) == RESTORE_DONE;
}

/* Removes what an earlier configuration or an earlier version left. The nat table is left
 * alone where asking for a chain in it would make it. */
static bool remove_left_over(const char *path, const struct rules *rules, bool has_nat,
                             struct error *why)
{
    if (nothing_is_left_over(path, rules, has_nat))
        return true;
    for (size_t i = 0; i < RULES_EVER; i++)
        if (!rules->wants[i] && (has_nat || !rules_is_in_table(&rules_jumps[i], RULES_NAT)) &&
            (jump_remove(path, &rules_jumps[i], why) != RESTORE_DONE ||
             !take_down(path, rules_jumps[i].table, rules_jumps[i].to, why)))
            return false;
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
