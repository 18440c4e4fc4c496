/* Puts the firewall in force for the first time of a helper's life. Another configuration may have
 * been in force before, or another version. */
#ifndef PORTSMITH_ESTABLISH_H
#define PORTSMITH_ESTABLISH_H

#include <stdbool.h>

#include "privsep/helper/iptables.h"
#include "privsep/prepare/rules.h"

/* Establishes a family (helper_iptables_establish), whose rules were made of what the plan has.
 * Then removes what an earlier configuration or version left, and what a set holds that is not in
 * use any more. `has_nat`: probe_has_nat. Errors as there. */
bool establish_first(struct firewall *fw, enum family family, const struct rules *rules,
                     bool has_nat, const struct grants *grants, struct error *why);

#endif
