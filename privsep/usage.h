/* Whether a grant is used: which connections came in through it. The kernel is asked
 * now and then, as long as that is not known; a grant that admits only so many
 * connections is watched closely. Nothing wakes up without such a grant. */
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
void helper_usage_begin(struct flows *flows, struct grant *grant);

/* Looks at the grant that has been due for longest, if one is; then there is no look for
 * ten times as long as this one took. True when something is known that was not: store
 * the grants. One that has had its connections is shortened to end now. */
bool helper_usage_look(struct flows *flows, struct grants *grants, int64_t now);

/* The last look, once a grant has ended. */
void helper_usage_finish(struct flows *flows, struct grant *grant);

/* When the next look is due (CLOCK_BOOTTIME, nanoseconds); 0: never. */
int64_t helper_usage_next(const struct grants *grants);

/* Whether it admits no more connections than it has had. */
bool helper_usage_is_full(const struct grant *grant);

/* What is known at a grant's end, for the log. */
const char *helper_usage_text(const struct grant *grant);

#endif
