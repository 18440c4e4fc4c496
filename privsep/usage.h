/* Whether a grant is used: which connections came in through it. The kernel is asked
 * now and then, for all grants at once, as long as that is not known; a grant that
 * admits only so many connections is watched closely. Nothing wakes up without such a
 * grant.
 *
 * To be asked takes the kernel milliseconds, so that no knock waits for it: what is there
 * already when a door opens is told from what comes in by listening, from just before
 * the door opens until the first look. A grant that admits only so many connections is
 * worth the wait: of those the answer must be right. */
#ifndef PORTSMITH_USAGE_H
#define PORTSMITH_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "flows.h"
#include "grants.h"

/* What the kernel must be able to tell: that it can is found out by asking. False with
 * the reason. */
bool helper_usage_try(struct flows *flows, struct error *why);

/* For a grant that is about to be opened: what is there already came in another way. */
void helper_usage_begin(struct flows *flows, struct grants *grants, struct grant *grant);

/* When grants were taken back that were to be opened: perhaps there is nothing to listen
 * for. */
void helper_usage_take_back(struct flows *flows, const struct grants *grants);

/* Looks at the grants that are due, if any; then there is no look for ten times as long
 * as this one took. True when something is known that was not: store the grants. Those
 * that have had their connections are shortened to end now. */
bool helper_usage_look(struct flows *flows, struct grants *grants, int64_t now);

/* The last look, once grants have ended: at `count` that are no longer in the table, or
 * lie behind it. What it tells of those in the table is stored. */
void helper_usage_finish(struct flows *flows, struct grants *grants, struct grant *ended,
                         size_t count);

/* Before another helper takes over, which has not listened: the first look at those grants
 * that have not had it. True if there were any: store the grants. */
bool helper_usage_hand_over(struct flows *flows, struct grants *grants);

/* When the next look is due (CLOCK_BOOTTIME, nanoseconds), or somewhat before; 0: never. */
int64_t helper_usage_next(const struct grants *grants);

/* Whether it admits no more connections than it has had. */
bool helper_usage_is_full(const struct grant *grant);

/* What is known at a grant's end, for the log. */
const char *helper_usage_text(const struct grant *grant);

#endif
