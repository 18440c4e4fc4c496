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

enum { MARK_REFUSED = 2 };

struct mark {
    uint8_t key_id[KEY_ID_SIZE];
    uint64_t counters[MARK_COUNTERS]; /* ascending */
    uint64_t refused[MARK_REFUSED];   /* counters that never count; 0: none */
    uint64_t closed; /* the highest counter that closed, 0: none. Where a record was damaged, it
                        is the floor, as what the client closed is lost as well */
    uint64_t sequence;                /* of the slot written last */
    uint32_t record;                  /* index in the file */
    bool unwritten;                   /* changed since the last commit */
};

struct marks {
    int fd;
    struct mark *items; /* by key id */
    size_t count;
    uint32_t records; /* in the file, unreadable ones included */
    uint64_t skew;    /* microseconds: no knock counts that is further ahead of the clock */
    size_t damaged;   /* how many records were damaged when the file was opened */
    bool is_nameless; /* nobody can tell whose one of those records was */
    size_t *unwritten; /* the places of the unwritten items; there is room for all */
    size_t unwritten_count;
};

/* Locks the directory `state_dir` for the life of the process and of what it then
 * runs, by the descriptor HELPER_FD_LOCK. False with the reason when another helper
 * holds it and does not let go within eight seconds. */
bool helper_marks_lock(int state_dir, struct error *why);

/* Loads the marks of the directory `state_dir`. Then it makes sure that each of the `count` key
 * ids (`stride` bytes apart) has a mark, and stores new ones at once. A new mark's floor is
 * `now` (microseconds since the epoch). The floor of a mark whose record was damaged is `now` +
 * `skew` (microseconds; UINT64_MAX: MaxSkew is off). Neither is before the date of this build.
 * Where nobody can tell whose a damaged record was, every key id without a mark counts as its
 * owner. Damaged records are wiped in the end. False with the reason when the marks cannot be
 * read or written, or memory is short; helper_marks_close frees all the same. */
bool helper_marks_open(struct marks *marks, int state_dir, const uint8_t *key_ids, size_t stride,
                       size_t count, uint64_t now, uint64_t skew, struct error *why);

/* The mark of a key id that was given to helper_marks_open. */
struct mark *helper_marks_find(struct marks *marks, const uint8_t key_id[static KEY_ID_SIZE]);

/* Whether `counter` was never spent, and is not refused for good. What is not above the lowest
 * of the eight counts as spent. */
bool helper_mark_is_new(const struct mark *mark, uint64_t counter);

/* Whether `counter` is one that helper_marks_refuse was given, and the mark still has. */
bool helper_mark_refuses(const struct mark *mark, uint64_t counter);

/* Whether a record of the client was damaged, and it was not heard since. */
bool helper_mark_is_lost(const struct mark *mark);

/* Whether the client has spent nothing since its mark was set to a floor. */
bool helper_mark_is_unspent(const struct mark *mark);

/* Where MaxSkew is on, brings floors that were set while the clock was ahead down to what they
 * would be at `now` (microseconds since the epoch), in memory. So knocks work once the clock is
 * right again. No knock was honoured since such a floor was set, so that a lower floor lets
 * nothing in again that was spent. */
void helper_marks_follow_clock(struct marks *marks, uint64_t now);

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

/* Writes every mark changed since the last success, then fdatasync(2). False
 * with the reason when they may not be durable; counters stay spent, and the
 * next call tries again. */
bool helper_marks_commit(struct marks *marks, struct error *why);

/* Closes the file, and frees the marks. The lock stays. */
void helper_marks_close(struct marks *marks);

#endif
