/* What the helper asks of the firewall. The core knows no more of it than this: which writer stands
 * behind it is settled by what a program is linked of. iptables.c is the writer for iptables, of
 * either back end.
 *
 * A writer keeps in force what the plan has ready, which is the same whatever is granted, and
 * between it what opens doors: one for each live grant, with a deadline that the kernel keeps. The
 * table of grants is the truth, and tells what has changed in it since the firewall was told
 * (struct grants). Nothing is ever read back from the kernel but whether all is there.
 *
 * Each function is about both families at once. A writer may change them together, or one after
 * the other: so of two families one may have taken a change that the other has not.
 *
 * A process has one firewall. The core opens it while the process may still do what its start
 * needs, then narrows the process, then has it begin. Functions that may fail give the reason in
 * *why, fit for a line of the log. None waits for longer than some seconds. */
#ifndef PORTSMITH_FIREWALL_H
#define PORTSMITH_FIREWALL_H

#include "common/error.h"
#include "privsep/helper/grants.h"
#include "privsep/plan.h"

struct firewall; /* the writer's own */

/* From this second on, since the epoch, the writer can give no door an end. */
extern const int64_t helper_firewall_last_date;

/* Gets ready to serve the families that the plan has in use. The plan must stay mapped. By what
 * portsmith-prepare did all is in force, as long as nobody has found out anything else. Ends the
 * process if there is no memory. */
struct firewall *helper_firewall_open(const struct plan *plan);

/* Starts what a writer keeps running, as narrow as this process is now. From now on the table's
 * file says which programs change the firewall for us: for those the witness does not ring. */
void helper_firewall_begin(struct firewall *fw, struct granttable *table);

/* Puts in force what has changed in the table, in each family in which anything has, and settles
 * that there (helper_grants_settle): what the firewall took stays; of what it did not take new
 * grants are gone, and extended ones end when they did. False if a family did not take it: from
 * then on that family is unsure. Where nothing has changed, nothing is done. */
bool helper_firewall_change(struct firewall *fw, struct grants *grants, struct error *why);

/* Returns within how many milliseconds helper_firewall_mend is to take out what the kernel still
 * holds of grants that are over; 0: there is nothing. The kernel has shut that by its deadline, or
 * something newer opens the same for longer: that has time. Or a grant has moved, and its old door
 * is open: that is soon. */
int64_t helper_firewall_litter(const struct firewall *fw);

/* Whether the last change of a family may be in force in part, or not at all. What is unsure is
 * written anew as a whole by the family's next change, or by helper_firewall_mend. */
bool helper_firewall_is_unsure(const struct firewall *fw, enum family family);

/* Looks whether anybody has removed anything, but not in families that are unsure. Returns what
 * it found: HELPER_RULES_MISSING; else, with the reason, HELPER_RULES_UNKNOWN; else
 * HELPER_RULES_IN_FORCE. It changes nothing. */
enum helper_rules helper_firewall_look(struct firewall *fw, const struct grants *grants,
                                       struct error *why);

/* Writes anew what is unsure, and puts back what is known to be missing; and besides what may be
 * missing, or may be there and should not, without a look's having shown it. */
bool helper_firewall_mend(struct firewall *fw, const struct grants *grants, struct error *why);

/* Returns what is known by now of both families. What is known to be missing stays so until it is
 * put back. While a family is unsure, this is not HELPER_RULES_IN_FORCE. */
enum helper_rules helper_firewall_rules(const struct firewall *fw);

/* Ends the process where it can change the firewall no more, but the next helper could. To be
 * asked while something is unsure, or unknown. */
void helper_firewall_check(const struct firewall *fw);

/* For the end of the daemon, once the table is empty: closes all doors, and leaves nothing that
 * would keep a ruleset that is saved from then on from being loaded elsewhere. What shuts the ports
 * stays. Tries several times. */
bool helper_firewall_clear(struct firewall *fw, const struct grants *grants, struct error *why);

/* Ends what helper_firewall_begin started, and frees and closes what was opened. */
void helper_firewall_close(struct firewall *fw);

#endif
