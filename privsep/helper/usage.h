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

/* For a grant that is about to be opened, or to admit connections anew because its client
 * knocked again: what came in until now does not count. The kernel tells nothing of what it
 * does not track. */
void helper_usage_begin(struct news *news, struct grants *grants, struct grant *grant,
                        bool is_tracked);

/* For the grants that were loaded: what came in between two helpers waits to be heard,
 * unless nobody listened. Connections that a grant of theirs admits may be others by
 * now. */
void helper_usage_take_over(const struct news *news, struct grants *grants);

/* Hears what the kernel has told. True when something is known that was not. Grants that have
 * had their connections, or of which some may not have been counted, are shortened to end
 * now. */
bool helper_usage_hear(struct news *news, struct grants *grants);

/* The same, with grants that have ended: `count` that are no longer in the table, or lie
 * behind it. */
void helper_usage_finish(struct news *news, struct grants *grants, struct grant *ended,
                         size_t count);

/* Listens no more if there is nothing to be known. */
void helper_usage_rest(struct news *news, const struct grants *grants);

/* Why a grant ends before its window is over: END_USED_UP, END_UNCOUNTED, or END_NONE. */
enum grant_end helper_usage_end(const struct grant *grant);

#endif
