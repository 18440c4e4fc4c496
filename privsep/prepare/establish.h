/* Puts the firewall in force for the first time of a helper's life. Another configuration may have
 * been in force before, or another version. */
#ifndef PORTSMITH_ESTABLISH_H
#define PORTSMITH_ESTABLISH_H

#include <stdbool.h>

#include "privsep/helper/iptables.h"

/* Establishes a family (helper_iptables_change). Then removes what an earlier configuration or version
 * left, and what a set holds that is not in use any more. Errors as there. */
bool establish_first(struct firewall *fw, enum family family, struct grants *grants,
                     struct error *why);

#endif
