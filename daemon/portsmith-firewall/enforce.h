/* Puts the rules of portsmith-firewall(8) in force, in both families or in none. For root. By the
 * back end that the configuration names, or BACKEND_AUTO finds: iptables-restore(8) is then run
 * by its absolute path, and nothing else; or the kernel is told without any program. */
#ifndef PORTSMITH_ENFORCE_H
#define PORTSMITH_ENFORCE_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/portsmith-firewall/ruleset.h"
#include "daemon/portsmith-firewall/way.h"
#include "privsep/xtables/restore.h"

/* Finds the back end. BACKEND_AUTO is iptables, as portsmithd takes it, or nftables where there is
 * no iptables. `tries`: something is to be changed, so it is tried whether iptables can do all that
 * portsmithd needs, and nftables is taken where it cannot. Otherwise nothing is changed, and
 * nftables is also found by the table that is there. False with the reason. */
bool enforce_choose(struct enforcer *e, const struct config *c, bool tries, struct error *why);

/* Finds out whether rules can tell segments of sessions from others. False with the reason, as
 * probe_sessions gives it. */
bool enforce_find_sessions(struct enforcer *e, struct error *why);

/* Makes the firewall as in *plan, in every family in use. Where one fails, those
 * before it are made as in *before again (NULL: they stay), and *why says what failed.
 * With iptables it tries a few times: some 15 s, should another program hold the xtables lock. A
 * table of nftables that an earlier back end left is removed. */
enum restore_result enforce_plan(const struct enforcer *e, const struct plan *plan,
                                 const struct plan *before, struct error *why);

/* Whether a family's firewall has what the plan says, which is not empty. */
bool enforce_looks_intact(const struct enforcer *e, enum family family, const struct plan *plan);

enum enforce_state {
    ENFORCE_NOTHING,  /* is to be shut */
    ENFORCE_IN_FORCE,
    ENFORCE_MISSING,  /* in some family at least */
    ENFORCE_UNKNOWN,  /* what is to be shut cannot be read, or no program is there */
};

/* How it is with what portsmith-firewall was told to shut. */
enum enforce_state enforce_look(const struct config *c);

/* Removes every trace, from all back ends. False with the reason when something stays;
 * a chain to which another program's rule leads is left there, without rules. */
bool enforce_removal(struct error *why);

/* Whether what portsmithd shuts is there, in any back end and family. */
bool enforce_finds_portsmithd(void);

/* Whether a knock opens here what this firewall shuts. With nftables one table cannot let through
 * what another drops: only a packet mark tells it, AcceptMark. */
bool enforce_lets_knocks_in(const struct enforcer *e);

#endif
