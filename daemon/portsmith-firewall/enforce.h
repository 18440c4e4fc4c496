/* Puts the rules of portsmith-firewall(8) in force, in both families or in none. For
 * root; runs iptables-restore(8) by its absolute path and nothing else. */
#ifndef PORTSMITH_ENFORCE_H
#define PORTSMITH_ENFORCE_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/portsmith-firewall/ruleset.h"
#include "privsep/xtables/probe.h"
#include "privsep/xtables/restore.h"

/* Makes the firewall as in *plan, in every family in use. Where one fails, those
 * before it are made as in *before again (NULL: they stay), and *why says what failed.
 * Tries a few times: some 15 s, should another program hold the xtables lock. */
enum restore_result enforce_plan(const struct xtables *xtables, const struct plan *plan,
                                 const struct plan *before, struct error *why);

/* Whether a family's firewall has what the plan says, which is not empty. */
bool enforce_looks_intact(const struct xtables *xtables, enum family family,
                          const struct plan *plan);

enum enforce_state {
    ENFORCE_NOTHING,  /* is to be closed */
    ENFORCE_IN_FORCE,
    ENFORCE_MISSING,  /* in some family at least */
    ENFORCE_UNKNOWN,  /* what is to be closed cannot be read, or no program is there */
};

/* How it is with what portsmith-firewall was told to close. */
enum enforce_state enforce_look(const struct config *c);

/* Removes every trace, from both back ends. False with the reason when something stays;
 * a chain to which another program's rule leads is left there, without rules. */
bool enforce_removal(struct error *why);

/* Whether PREROUTING leads to portsmithd's rules, in any back end and family. */
bool enforce_finds_portsmithd(void);

#endif
