/* What the supervisor orders of a serving helper: to report how it is, and to end grants.
 * The helper believes the supervisor, but looks at its orders all the same. */
#ifndef PORTSMITH_ORDERS_H
#define PORTSMITH_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "privsep/helper/grants.h"

/* Whether a message is an order that a sound supervisor gives: known command and
 * scope, every field that means nothing zero. HELPER_STOP is one. */
bool helper_order_is_canonical(const struct helper_order *order);

/* Ends the grants that a HELPER_CLOSE means: they have their deadline now. Returns how many. */
uint32_t helper_order_end(const struct helper_order *order, struct grants *grants);

#endif
