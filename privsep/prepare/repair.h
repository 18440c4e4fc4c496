/* The marks (marks.h) at a start: they are read, what is damaged among them is repaired, and
 * clients that have none get one. */
#ifndef PORTSMITH_REPAIR_H
#define PORTSMITH_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "privsep/helper/marks.h"
#include "privsep/prepare/receive.h"

/* Loads the marks of the directory `state_dir`. Then it makes sure that each of the `count` key
 * ids (`stride` bytes apart) has a mark, and stores new ones at once. A new mark's floor is
 * `now` (microseconds since the epoch). The floor of a mark whose record was damaged is `now` +
 * `skew` (microseconds; UINT64_MAX: MaxSkew is off). Neither is before the date of this build.
 * Where nobody can tell whose a damaged record was, every key id without a mark counts as its
 * owner. Damaged records are wiped in the end, and the log is told how many there were. False with
 * the reason when the marks cannot be read or written, or memory is short; helper_marks_close frees
 * all the same. */
bool helper_marks_open(struct marks *marks, int state_dir, const uint8_t *key_ids, size_t stride,
                       size_t count, uint64_t now, uint64_t skew, struct error *why);

/* Tells, at each start, of the clients that are shut out because their record was damaged. */
void helper_marks_tell_lost(struct marks *marks, const struct policy *policy);

/* Closes the file, and frees the marks. The lock stays. */
void helper_marks_close(struct marks *marks);

/* Returns the mark of a client that helper_marks_open was given, by its key id. */
struct mark *helper_marks_find(struct marks *marks, const uint8_t key_id[static KEY_ID_SIZE]);

#endif
