/* Makes the part of our rules that is the same whatever is granted (xtables/chains.h). */
#ifndef PORTSMITH_RULES_H
#define PORTSMITH_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"
#include "privsep/message.h"
#include "privsep/xtables/chains.h"

/* The rule by which the chain of a jump, with CloseWith = reset, refuses what is marked; written
 * as a jump is. Without a table where the chain has none. */
extern const struct jump rules_refusals[RULES_JUMPS];

/* Makes the rules of a family, to be freed by rules_free. `destinations` are of both families,
 * each once. `tells_sessions`: see probe_sessions. The process ends if there is no memory. */
void rules_make(struct rules *rules, enum family family, const struct helper_setup *setup,
                const struct helper_destination *destinations, size_t count, bool tells_sessions);
void rules_free(struct rules *rules);

#endif
