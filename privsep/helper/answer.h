/* What the supervisor orders of a serving helper: to tell how it is, and to end grants.
 * The supervisor is believed, but its orders are fixed in size and looked at all
 * the same. */
#ifndef PORTSMITH_ANSWER_H
#define PORTSMITH_ANSWER_H

#include <stdbool.h>

#include "privsep/helper/requests.h"
#include "privsep/message.h"

/* Whether a message is an order that a sound supervisor gives: known command and
 * scope, every field that means nothing zero. HELPER_STOP is one. */
bool helper_order_is_canonical(const struct helper_order *order);

/* Does what a canonical order other than HELPER_STOP says and fills *answer. HELPER_CLOSE
 * with `kill` is about what this helper dropped when it began, too: connections that came
 * in through those grants may stand.
 * Grants that end are in *ended, for the log; the caller frees the array, which may be
 * NULL, and whose length is answer->closed. */
void helper_answer(struct requests *requests, const struct helper_order *order,
                   struct helper_answer *answer, struct grant **ended);

/* The answer that nobody asked for, when the helper is ready, when what is known of the
 * rules has changed, and at its end. The caller says how the rules are, in this one and any
 * other. */
void helper_answer_unasked(const struct requests *requests, struct helper_answer *answer);

#endif
