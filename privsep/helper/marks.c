#include "privsep/helper/marks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clock.h"

const char mark_magic[8] = "PSMARK1";

uint64_t helper_marks_latest_timely(const struct marks *marks, uint64_t now)
{
    return now < UINT64_MAX - marks->skew ? now + marks->skew : UINT64_MAX;
}

/* The lowest of the eight makes room. */
void helper_mark_put(struct mark *mark, uint64_t counter)
{
    size_t i = 1;

    for (; i < MARK_COUNTERS && mark->counters[i] < counter; i++)
        mark->counters[i - 1] = mark->counters[i];
    mark->counters[i - 1] = counter;
}

static bool is_among(const uint64_t *counters, size_t count, uint64_t counter)
{
    for (size_t i = 0; i < count; i++)
        if (counters[i] == counter)
            return true;
    return false;
}

bool helper_mark_is_spent(const struct mark *mark, uint64_t counter)
{
    return counter <= mark->counters[0] || is_among(mark->counters, MARK_COUNTERS, counter);
}

bool helper_mark_refuses(const struct mark *mark, uint64_t counter)
{
    return is_among(mark->refused, MARK_REFUSED, counter);
}

bool helper_mark_is_new(const struct mark *mark, uint64_t counter)
{
    return !helper_mark_is_spent(mark, counter) && !helper_mark_refuses(mark, counter);
}

bool helper_mark_list(const struct marks *marks, struct mark *mark, uint64_t counter,
                         uint64_t now)
{
    uint64_t *highest = &mark->refused[0];

    if (helper_mark_refuses(mark, counter))
        return true;
    for (size_t i = 0; i < MARK_REFUSED; i++) {
        uint64_t *listed = &mark->refused[i];

        /* A counter that would be refused without being listed makes room. */
        if (*listed <= mark->counters[0] || (*listed < now && now - *listed > marks->skew)) {
            *listed = counter;
            return true;
        }
        if (*listed > *highest)
            highest = listed;
    }
    if (counter < *highest)
        *highest = counter;
    return false;
}

void helper_mark_note(struct marks *marks, struct mark *mark)
{
    if (mark->unwritten)
        return;
    mark->unwritten = true;
    marks->unwritten[marks->unwritten_count++] = (size_t)(mark - marks->items);
}

/* The pages of the plan that hold the marks are this process's own: nobody sees what it changes. */
bool helper_marks_map(struct marks *marks, int plan_fd, const struct plan *plan, struct error *why)
{
    const size_t count = plan->profile_count;
    /* A byte of the plan stands behind the last mark. */
    void *map = mmap(NULL, count * sizeof *marks->items + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE,
                     plan_fd, plan->marks_at);

    *marks = (struct marks){.fd = HELPER_FD_MARKS, .items = map, .count = count,
                            .skew = plan->skew,
                            .unwritten = calloc(count + 1, sizeof *marks->unwritten)};
    return (map != MAP_FAILED && marks->unwritten) ||
           error_set(why, "cannot map the marks: %s", strerror(errno));
}

void helper_marks_spend(struct marks *marks, struct mark *mark, uint64_t counter)
{
    helper_mark_put(mark, counter);
    helper_mark_note(marks, mark);
}

bool helper_marks_refuse(struct marks *marks, struct mark *mark, uint64_t counter, uint64_t now)
{
    bool had_room;

    if (helper_mark_refuses(mark, counter))
        return true;
    had_room = helper_mark_list(marks, mark, counter, now);
    if (helper_mark_refuses(mark, counter))
        helper_mark_note(marks, mark);
    return had_room;
}

uint64_t helper_marks_latest_credible(const struct marks *marks, uint64_t now)
{
    return marks->skew == UINT64_MAX ? now : helper_marks_latest_timely(marks, now);
}

void helper_marks_close_at(struct marks *marks, struct mark *mark, uint64_t counter, uint64_t now)
{
    if (counter <= mark->closed || counter > helper_marks_latest_credible(marks, now))
        return;
    mark->closed = counter;
    helper_mark_note(marks, mark);
}

bool helper_mark_was_closed_since(const struct marks *marks, const struct mark *mark,
                                  uint64_t counter, uint64_t now)
{
    return counter < mark->closed && mark->closed <= helper_marks_latest_credible(marks, now);
}

static bool write_mark(struct marks *marks, const struct mark *mark)
{
    struct mark_slot slot = {.sequence = mark->sequence + 1};
    off_t at = (off_t)(mark->record * sizeof(struct mark_record) +
                       slot.sequence % MARK_SLOTS * sizeof(struct mark_slot));

    memcpy(slot.magic, mark_magic, sizeof mark_magic);
    memcpy(slot.key_id, mark->key_id, KEY_ID_SIZE);
    memcpy(slot.counters, mark->counters, sizeof slot.counters);
    memcpy(slot.refused, mark->refused, sizeof slot.refused);
    slot.closed = mark->closed;
    seal_make(slot.seal, &slot, offsetof(struct mark_slot, seal));
    errno = ENOSPC; /* what a short write means here */
    return pwrite(marks->fd, &slot, sizeof slot, at) == sizeof slot;
}

bool helper_marks_commit(struct marks *marks, struct error *why)
{
    if (marks->unwritten_count == 0)
        return true;
    /* Between two syncs one slot of a mark is written, so that its other slot stays whole. */
    for (size_t i = 0; i < marks->unwritten_count; i++)
        if (!write_mark(marks, &marks->items[marks->unwritten[i]]))
            return error_set(why, "cannot write the marks: %s", strerror(errno));
    if (fdatasync(marks->fd) != 0)
        return error_set(why, "cannot sync the marks: %s", strerror(errno));
    for (size_t i = 0; i < marks->unwritten_count; i++) {
        struct mark *mark = &marks->items[marks->unwritten[i]];

        mark->unwritten = false;
        mark->sequence++;
    }
    marks->unwritten_count = 0;
    return true;
}
