/* Floors: what the mark of a client is that has none, or whose mark is lost (marks.h). */
#ifndef PORTSMITH_FLOOR_H
#define PORTSMITH_FLOOR_H

#include "privsep/helper/marks.h"

/* Sets a mark to a floor, at `now` (microseconds since the epoch): as a new client's, or as that
 * of one whose record was damaged. */
void helper_mark_set_floor(const struct marks *marks, struct mark *mark, bool is_lost,
                           uint64_t now);

/* Whether the client has spent nothing since its mark was set to a floor. */
bool helper_mark_is_unspent(const struct mark *mark);

/* Whether a record of the client was damaged, and it was not heard since. */
bool helper_mark_is_lost(const struct mark *mark);

/* Where MaxSkew is on, brings floors that were set while the clock was ahead down to what they
 * would be at `now` (microseconds since the epoch), in memory. So knocks work once the clock is
 * right again. No knock was honoured since such a floor was set, so that a lower floor lets
 * nothing in again that was spent. */
void helper_marks_follow_clock(struct marks *marks, uint64_t now);

#endif
