/* What the supervisor orders of a serving helper: to report how it is, and to end grants.
 * The helper believes the supervisor, but looks at its orders all the same. */
#ifndef PORTSMITH_ORDERS_H
#define PORTSMITH_ORDERS_H

#include <stdbool.h>

#include "privsep/helper/requests.h"
#include "privsep/message.h"

/* Whether a message is an order that a sound supervisor gives: known command and
 * scope, every field that means nothing zero. HELPER_STOP is one. */
bool helper_order_is_canonical(const struct helper_order *order);

/* Does what a canonical order other than HELPER_STOP says, and fills *report. report->failed tells
 * that something is left to do, and the log says what.
 * *ended points to the grants that end, to be told of. They are report->closed. The caller frees
 * it; it may be NULL. */
void helper_orders_serve(struct requests *requests, const struct helper_order *order,
                         struct helper_report *report, struct grant **ended);

/* Fills the report that the helper makes by itself: when it is ready, when what is known of the
 * rules has changed, and when it ends. The caller adds to it, as to any other report, what is
 * known of the rules. */
void helper_report_unasked(const struct requests *requests, struct helper_report *report);

#endif
