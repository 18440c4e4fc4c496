/* Makes the text of our part of the firewall (privsep/rules.h). */
#ifndef PORTSMITH_RULES_H
#define PORTSMITH_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"
#include "privsep/message.h"
#include "privsep/rules.h"

/* Returns the first second, since the epoch, in which nothing is shut any more, by what the clocks
 * say now; 0: there is none. */
int64_t rules_trial_second(const struct helper_setup *setup);

/* `destinations` are of both families, each once. `tells_sessions`: see probe_sessions. The
 * texts belong to *rules. The process ends if there is no memory. */
void rules_make(struct rules *rules, enum family family, const struct helper_setup *setup,
                const struct helper_destination *destinations, size_t count, bool tells_sessions);
void rules_free(struct rules *rules);

#endif
