/* Replay marks: for every client the eight highest counters that it spent,
 * durable before anything is opened, kept even after a profile is revoked.
 *
 * A client without a mark starts from a floor: its mark is eight times the same counter. A new
 * client's floor is the present time. The floor of a client whose record was damaged is as late
 * as its knocks could have been. Without MaxSkew that is the end of time: such a client is never
 * heard again.
 *
 * The file "marks" is an array of records of two 128-byte slots. A mark is
 * always written to the slot that holds the older state, so a torn write
 * leaves the newer one, and the knock that was being recorded was not yet
 * honoured. The state directory is locked while the marks are in use. */
#ifndef PORTSMITH_MARKS_H
#define PORTSMITH_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "privsep/message.h"
#include "privsep/plan.h"
#include "privsep/seal.h"

enum { MARK_REFUSED = 2, MARK_SLOTS = 2 };

/* The file: an array of records. */
struct mark_slot {
    char magic[8]; /* mark_magic */
    uint64_t sequence; /* 1 for the first state of a mark; the higher slot counts */
    uint8_t key_id[KEY_ID_SIZE];
    uint64_t counters[MARK_COUNTERS];
    uint64_t refused[MARK_REFUSED]; /* this and `closed` are 0 where an older build wrote them */
    uint64_t closed;
    uint8_t seal[SEAL_SIZE]; /* of all before it */
};
_Static_assert(sizeof(struct mark_slot) == 128, "a slot never straddles a disk sector");

struct mark_record {
    struct mark_slot slots[MARK_SLOTS];
};

extern const char mark_magic[8];

struct mark {
    uint8_t key_id[KEY_ID_SIZE];
    uint64_t counters[MARK_COUNTERS]; /* ascending */
    uint64_t refused[MARK_REFUSED];   /* counters that never count; 0: none */
    uint64_t closed; /* the highest counter that closed, 0: none. Where a record was damaged, it
                        is the floor, as what the client closed is lost as well */
    uint64_t sequence; /* of the slot written last */
    uint32_t record;   /* index in the file */
    bool unwritten;    /* changed since the last commit */
};

struct marks {
    int fd;
    struct mark *items; /* by key id: each has its profile's place */
    size_t count;
    uint64_t skew; /* microseconds: no knock counts that is further ahead of the clock */
    size_t *unwritten; /* the places of the unwritten items; there is room for all */
    size_t unwritten_count;
};

/* Begins with the marks of a plan, which is mapped from `plan_fd`. The file is HELPER_FD_MARKS.
 * False with the reason. */
bool helper_marks_map(struct marks *marks, int plan_fd, const struct plan *plan,
                      struct error *why);

/* Returns the highest counter that is not too far ahead of the clock, `now`. Counters, and clocks
 * that they are compared with, are in microseconds since the epoch. */
uint64_t helper_marks_latest_timely(const struct marks *marks, uint64_t now);

/* Returns the highest counter that can stand for a time that was, by the clock `now`. */
uint64_t helper_marks_latest_credible(const struct marks *marks, uint64_t now);

/* Whether `counter` was never spent, and is not refused for good. What is not above the lowest
 * of the eight counts as spent. */
bool helper_mark_is_new(const struct mark *mark, uint64_t counter);

/* Whether `counter` is one that helper_marks_refuse was given, and the mark still has. */
bool helper_mark_refuses(const struct mark *mark, uint64_t counter);

/* Spends a new counter, in memory. helper_marks_commit makes it durable. */
void helper_marks_spend(struct marks *marks, struct mark *mark, uint64_t counter);

/* Notes, in memory, that `counter`, which is ahead of the clock, never counts. Counters that are
 * out of time again by `now` make room. Where there is no room, the lowest counters are kept, as
 * they become timely first, and the highest is forgotten: then it returns false. */
bool helper_marks_refuse(struct marks *marks, struct mark *mark, uint64_t counter, uint64_t now);

/* Notes, in memory, that the spent `counter` closed. Without MaxSkew a counter that is ahead of
 * the clock, `now`, is not noted. */
void helper_marks_close_at(struct marks *marks, struct mark *mark, uint64_t counter, uint64_t now);

/* Whether the client closed after it made the knock with `counter`. A close by a clock that was
 * ahead of what counts at `now` does not count. */
bool helper_mark_was_closed_since(const struct marks *marks, const struct mark *mark,
                                  uint64_t counter, uint64_t now);

/* Whether `counter` was spent. What is not above the lowest of the eight counts as spent. */
bool helper_mark_is_spent(const struct mark *mark, uint64_t counter);

/* Puts `counter` in the place of the lowest of the eight. */
void helper_mark_put(struct mark *mark, uint64_t counter);

/* Does to a mark what helper_marks_refuse does, but does not have it written. */
bool helper_mark_list(const struct marks *marks, struct mark *mark, uint64_t counter,
                      uint64_t now);

/* Has the mark written by the next helper_marks_commit. */
void helper_mark_note(struct marks *marks, struct mark *mark);

/* Writes every mark changed since the last success, then fdatasync(2). False
 * with the reason when they may not be durable; counters stay spent, and the
 * next call tries again. */
bool helper_marks_commit(struct marks *marks, struct error *why);

#endif
