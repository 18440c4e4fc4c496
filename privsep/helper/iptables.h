/* The writer for iptables, as portsmith-prepare, too, has it work: a family at a time. Its part of
 * the firewall is the text of privsep/rules.h, the jumps to it, and in it a rule or two per grant
 * and chain. Where grants are kept in a set (set.h), only some of them are rules. On trial the first
 * rule of every chain that shuts RETURNs all from the trial's end on. */
#ifndef PORTSMITH_IPTABLES_H
#define PORTSMITH_IPTABLES_H

#include <stdbool.h>

#include "privsep/helper/firewall.h"
#include "privsep/helper/set.h"
#include "privsep/rules.h"
#include "privsep/xtables/restore.h"
#include "privsep/xtables/xtables.h"

struct firewall {
    const struct helper_setup *setup;
    const struct rules *rules; /* by family */
    struct xtables xtables;
    struct restore restore[FAMILIES];
    bool unsure[FAMILIES]; /* the kernel may differ from the table: rewrite */
    enum helper_rules state[FAMILIES]; /* what is known of it; in force where it is not in use */
    struct ipset set;
    bool uses_set;
    bool has_rules[FAMILIES]; /* of grants */
};

/* Gets ready to use what was probed. `setup` and `rules`, those of each family in use,
 * must stay valid. `set` is copied, and closed with the firewall. */
void helper_iptables_open(struct firewall *fw, const struct helper_setup *setup,
                          const struct rules rules[static FAMILIES],
                          const struct xtables *xtables, const struct ipset *set);

/* What a change does. Whichever comes later does what the ones before it do, too. */
enum iptables_deed {
    IPTABLES_INSERT,  /* adds the grants that are new in this batch */
    IPTABLES_REWRITE, /* writes the grants that are rules anew; of those in a set, what was touched
                         and what is gone */
    IPTABLES_REFRESH, /* writes all chains and the set anew; the jumps stay as they are.
                         ip6tables-legacy takes another rule for one that it is asked for with -C
                         (1.8.9, tried: `-m mark --mark 5` for `--mark 6`) */
    IPTABLES_ESTABLISH, /* the same, and adds the jumps that are missing. Those that are there stay
                           wherever an admin put them */
    IPTABLES_CHECK,   /* for a look alone */
};

/* Changes a family's chains, in one transaction per table. Where that is refused, all is
 * established. On failure the family is unsure, nobody knows whether what was in force still is,
 * and the reason is in *why. A family that is not in use has nothing to change. */
bool helper_iptables_change(struct firewall *fw, enum family family, enum iptables_deed deed,
                            const struct grants *grants, struct error *why);

/* Whether a family's jumps, chains and live grants are still there: HELPER_RULES_UNKNOWN if that
 * cannot be read. `state` follows. With nft no grants are looked for where they are many. */
enum helper_rules helper_iptables_look(struct firewall *fw, enum family family,
                                       const struct grants *grants, struct error *why);

/* Removes the family's set, unless grants are kept in it. A set that another program's rule refers
 * to stays: it is theirs. */
void helper_iptables_remove_set(struct firewall *fw, enum family family);

#endif
