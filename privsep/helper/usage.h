/* Whether a grant is used: which connections came in through it. The kernel tells of each
 * connection as it is made (news.h), for as long as there is a grant that waits for one: a
 * grant that was not used yet, or one that admits only so many connections. The kernel is never
 * asked, so no knock waits.
 *
 * Where news were lost, a grant that admits only so many connections ends at once. */
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

/* Hears what the kernel has told. True when that changed what is known of a grant. A grant that
 * has had its connections, or of whose connections some may not have been counted, is shortened
 * to end now. */
bool helper_usage_hear(struct news *news, struct grants *grants);

/* Hears what the kernel has told, for the last time for `count` grants that have ended, which
 * are no longer in the table. */
void helper_usage_finish(struct news *news, struct grants *grants, struct grant *ended,
                         size_t count);

/* Makes the kernel tell nothing more if no grant waits for a connection. */
void helper_usage_rest(struct news *news, const struct grants *grants);

/* Returns why a grant ends before its window is over: END_USED_UP, END_UNCOUNTED, or END_NONE
 * where it does not. */
enum grant_end helper_usage_end(const struct grant *grant);

#endif
