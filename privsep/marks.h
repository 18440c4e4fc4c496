/* Replay marks: for every client the eight highest counters that it spent,
 * durable before anything is opened, kept even after a profile is revoked.
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

#include "error.h"
#include "message.h"

struct mark {
    uint8_t key_id[KEY_ID_SIZE];
    uint64_t counters[MARK_COUNTERS]; /* ascending */
    uint64_t sequence;                /* of the slot written last */
    uint32_t record;                  /* index in the file */
    bool unwritten;                   /* changed since the last commit */
};

struct marks {
    int fd;
    struct mark *items; /* by key id */
    size_t count;
    uint32_t records; /* in the file, unreadable ones included */
    uint64_t highest; /* of all counters read */
    uint64_t floor;   /* what a client without a readable mark starts from */
    size_t *unwritten; /* which of the items, as many as there are at most */
    size_t unwritten_count;
};

/* Locks the directory `state_dir` for the life of the process and of what it then
 * runs, by the descriptor HELPER_FD_LOCK. False with the reason when another helper
 * holds it and does not let go within eight seconds. */
bool helper_marks_lock(int state_dir, struct error *why);

/* Loads the marks of the directory `state_dir`, then makes sure that each of the
 * `count` key ids (`stride` bytes apart) has one: a client without a readable
 * mark gets a floor of the highest of `now` (microseconds since the epoch), the
 * date of this build and, where a record was damaged, every counter known; it
 * is stored at once. False with the reason when they cannot be read or written,
 * or memory is short. */
bool helper_marks_open(struct marks *marks, int state_dir, const uint8_t *key_ids, size_t stride,
                       size_t count, uint64_t now, struct error *why);

/* The mark of a key id that was given to helper_marks_open. */
struct mark *helper_marks_find(struct marks *marks, const uint8_t key_id[static KEY_ID_SIZE]);

/* Whether `counter` was never spent: above the lowest of the eight and not
 * among them. */
bool helper_mark_is_new(const struct mark *mark, uint64_t counter);

/* Spends a new counter, in memory. helper_marks_commit makes it durable. */
void helper_marks_spend(struct marks *marks, struct mark *mark, uint64_t counter);

/* Writes every mark changed since the last success, then fdatasync(2). False
 * with the reason when they may not be durable; counters stay spent, and the
 * next call tries again. */
bool helper_marks_commit(struct marks *marks, struct error *why);

/* Closes and frees. */
void helper_marks_close(struct marks *marks);

#endif
