#include "privsep/prepare/floor.h"

#include "common/clock.h"

/* Returns the floor of a client that has no mark, or whose mark is lost. */
static uint64_t floor_at(const struct marks *marks, bool is_lost, uint64_t now)
{
    const uint64_t built = (uint64_t)PORTSMITH_BUILD_DATE * USEC_PER_SEC;
    uint64_t floor = is_lost ? helper_marks_latest_timely(marks, now) : now;

    return floor > built ? floor : built;
}

void helper_mark_set_floor(const struct marks *marks, struct mark *mark, bool is_lost, uint64_t now)
{
    const uint64_t floor = floor_at(marks, is_lost, now);

    for (size_t i = 0; i < MARK_COUNTERS; i++)
        mark->counters[i] = floor;
    mark->closed = is_lost ? floor : 0;
}

bool helper_mark_is_unspent(const struct mark *mark)
{
    return mark->counters[0] == mark->counters[MARK_COUNTERS - 1];
}

bool helper_mark_is_lost(const struct mark *mark)
{
    return mark->closed != 0 && helper_mark_is_unspent(mark);
}

void helper_marks_follow_clock(struct marks *marks, uint64_t now)
{
    for (size_t i = 0; i < marks->count; i++) {
        struct mark *mark = &marks->items[i];

        /* Without MaxSkew the latest floor is the end of time: no floor is above it. */
        if (helper_mark_is_unspent(mark) && mark->counters[0] > floor_at(marks, true, now)) {
            helper_mark_set_floor(marks, mark, helper_mark_is_lost(mark), now);
            helper_mark_note(marks, mark);
        }
    }
}
