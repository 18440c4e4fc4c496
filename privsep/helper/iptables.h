/* The writer for iptables, as portsmith-prepare, too, has it work: a family at a time. Its part of
 * the firewall is the texts of privsep/rules.h, which the plan has, and in them a rule or two per
 * grant and chain. Where grants are kept in a set (set.h), only some of them are rules. On trial
 * the first rule of every chain that shuts RETURNs all from the trial's end on. */
#ifndef PORTSMITH_IPTABLES_H
#define PORTSMITH_IPTABLES_H

#include <stdbool.h>

#include "privsep/helper/firewall.h"
#include "privsep/helper/set.h"
#include "privsep/rules.h"
#include "privsep/xtables/restore.h"

struct firewall {
    const struct plan *plan;
    struct restore restore[FAMILIES];
    bool unsure[FAMILIES]; /* the kernel may differ from the table: rewrite */
    enum helper_rules state[FAMILIES]; /* what is known of it; in force where it is not in use */
    struct sets sets;
    bool has_rules[FAMILIES]; /* of grants */
    size_t litter[FAMILIES];  /* grants with rules that let nothing through any more, or that are
                                 older than others which let the same through for longer. One that
                                 has moved counts as LITTER_MUCH: its rules are open yet */
};

/* Puts all of a family in force, and adds the jumps that are missing. On failure the family is
 * unsure, nobody knows whether what was in force still is, and the reason is in *why. */
bool helper_iptables_establish(struct firewall *fw, enum family family,
                               const struct grants *grants, struct error *why);

/* Changes a family by one of the transactions RULES_INSERT, RULES_REWRITE and RULES_REFRESH: in a
 * set, too, RULES_REFRESH writes all anew; the others put in what was touched, and take out what is
 * gone. RULES_INSERT does so in chains as well. Where that is refused, or the family was unsure,
 * all is established; errors as there. A family that is not in use has nothing to change. */
bool helper_iptables_change(struct firewall *fw, enum family family, enum rules_text what,
                            const struct grants *grants, struct error *why);

/* Whether a family's jumps, chains and live grants are still there: HELPER_RULES_UNKNOWN if that
 * cannot be read. `state` follows. With nft no grants are looked for where they are many. */
enum helper_rules helper_iptables_look(struct firewall *fw, enum family family,
                                       const struct grants *grants, struct error *why);

/* Removes the family's set, to which no rule of ours refers. One that another program's rule refers
 * to stays: it is theirs. */
void helper_iptables_remove_set(struct firewall *fw, enum family family);

#endif
