/* Portsmith's part of the firewall: the rules that are the same whatever is granted
 * (privsep/rules.h), the jumps to them, and between them a rule or two per grant and chain, each
 * with a deadline that the kernel enforces. On trial the first rule of every chain that
 * shuts RETURNs all from the trial's end on.
 *
 * Nothing is ever parsed back from the kernel: the helper's table is the truth, and the
 * chains are rewritten from it. */
#ifndef PORTSMITH_FIREWALL_H
#define PORTSMITH_FIREWALL_H

#include <stdbool.h>
#include <stdint.h>

#include "privsep/helper/grants.h"
#include "privsep/helper/set.h"
#include "privsep/message.h"
#include "privsep/rules.h"
#include "privsep/xtables/restore.h"
#include "privsep/xtables/xtables.h"

enum firewall_state { FIREWALL_INTACT, FIREWALL_DAMAGED, FIREWALL_UNREADABLE };

struct firewall {
    const struct helper_setup *setup;
    const struct rules *rules; /* by family */
    struct xtables xtables;
    struct restore restore[FAMILIES];
    bool unsure[FAMILIES]; /* the kernel may differ from the table: rewrite */
    enum firewall_state state[FAMILIES]; /* what is known of it */
    struct ipset set;
    bool uses_set;
    bool has_rules[FAMILIES]; /* of grants */
};

/* Gets ready to use what was probed. `setup` and `rules`, those of each family in use,
 * must stay valid. `set` is copied, and closed with the firewall. */
void helper_firewall_open(struct firewall *fw, const struct helper_setup *setup,
                          const struct rules rules[static FAMILIES],
                          const struct xtables *xtables, const struct ipset *set);

/* Keeps the programs running from now on, where they can be. */
void helper_firewall_stand(struct firewall *fw);

/* Puts chains, shut ports, grants and missing jumps of a family in force. Jumps that are
 * there stay wherever an admin put them. Then all is intact. On failure `unsure` is set, nobody
 * knows whether what was in force still is, and the reason is in *why. */
bool helper_firewall_establish(struct firewall *fw, enum family family, struct grants *grants,
                               struct error *why);

/* What a change does. Whichever comes later does what the ones before it do, too. */
enum firewall_deed {
    FIREWALL_NOTHING,
    FIREWALL_INSERT,  /* adds the grants that are new in this batch */
    FIREWALL_REWRITE, /* writes the grants that are rules anew; of those in a set, what was touched
                         and what is gone */
    FIREWALL_REFRESH, /* writes all chains and the set anew; the jumps stay as they are.
                         ip6tables-legacy takes another rule for one that it is asked for with -C
                         (1.8.9, tried: `-m mark --mark 5` for `--mark 6`) */
    FIREWALL_ESTABLISH, /* the same, and adds the jumps that are missing */
    FIREWALL_CHECK,   /* for helper_firewall_look alone */
};

/* Changes a family's chains, in one transaction per table. Where that is refused, it falls back to
 * helper_firewall_establish. A family that is not in use has nothing to change. Errors as
 * above. */
bool helper_firewall_change(struct firewall *fw, enum family family, enum firewall_deed deed,
                            struct grants *grants, struct error *why);

/* Whether the grant is a rule. To extend a rule takes rewriting; to extend an element of a
 * set, FIREWALL_INSERT. */
bool helper_firewall_is_rule(const struct firewall *fw, const struct grant *grant);

/* For the end of the daemon: no rule of a grant's, and no rule that refers to a set, is
 * left, so that rulesets that are saved from then on load anywhere. The table is empty.
 * Errors as above. */
bool helper_firewall_clear(struct firewall *fw, enum family family, struct grants *grants,
                           struct error *why);

/* Removes the family's set, unless grants are kept in it. A set that another program's rule refers
 * to stays: it is theirs. */
void helper_firewall_remove_set(struct firewall *fw, enum family family);

/* Whether jumps, chains and live grants are still there. `state` follows; but what is
 * known to be missing stays so while nothing can be read. With nft no grants are looked for
 * where they are many: whoever finds all intact refreshes it, which puts
 * back what is missing, but knows of no loss. */
enum firewall_state helper_firewall_look(struct firewall *fw, enum family family,
                                         const struct grants *grants, struct error *why);

/* Ends the standing programs, and closes what was opened. */
void helper_firewall_close(struct firewall *fw);

#endif
