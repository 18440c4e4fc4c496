/* Whether a grant is used: which connections came in through it. The kernel tells of each
 * as it is made (news.h), for as long as there is a grant of which that is to be known: one
 * that was not used yet, or one that admits only so many connections. Nothing is asked, and
 * no knock waits.
 *
 * Whatever was not told stays unknown: a grant that admits only so many connections then
 * ends at once. */
#ifndef PORTSMITH_USAGE_H
#define PORTSMITH_USAGE_H

#include <stdbool.h>

#include "privsep/helper/events.h"
#include "privsep/helper/grants.h"
#include "privsep/helper/news.h"

/* Begins to count for a grant of the table, which is about to be opened, or admits connections
 * anew because its client knocked again: connections that came in until now do not count.
 * `is_tracked` says whether the kernel tracks connections to the grant's service; of others it
 * tells nothing. */
void helper_usage_begin(struct news *news, struct grants *grants, struct grant *grant,
                        bool is_tracked);

/* Goes on counting for the grants that were loaded: connections that came in between two
 * helpers wait to be heard, unless the helper before did not listen. By now a grant may admit
 * another number of connections than it did then. */
void helper_usage_take_over(const struct news *news, struct grants *grants);

/* Hears what the kernel has told. True when something is known of a grant that was not. A
 * grant that has had its connections, or of whose connections some may not have been counted,
 * is shortened to end now. */
bool helper_usage_hear(struct news *news, struct grants *grants);

/* Hears, last, for `count` grants that have ended: they are no longer in the table, or lie
 * behind it. */
void helper_usage_finish(struct news *news, struct grants *grants, struct grant *ended,
                         size_t count);

/* Makes the kernel tell nothing more if there is no grant of which something is to be known. */
void helper_usage_rest(struct news *news, const struct grants *grants);

/* Why a grant ends before its window is over: END_USED_UP, END_UNCOUNTED, or END_NONE. */
enum grant_end helper_usage_end(const struct grant *grant);

#endif
