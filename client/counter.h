/* The last counter that this user's knocks have used. portsmith-knock(1). */
#ifndef PORTSMITH_COUNTER_H
#define PORTSMITH_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* How far ahead of the clock the last counter may be and still be followed, in
 * microseconds: servers accept as much by default (MaxSkew). */
#define COUNTER_SKEW UINT64_C(300000000)

/* Takes `count` consecutive counters, one for each datagram, and stores the
 * first in *first. They are the caller's alone: the file "counter" in
 * `directory` (made if missing) is locked meanwhile, and the last of them is
 * on the disk before this returns. `now` is clock_wall_us().
 *
 * The first is the greater of `now` and the last counter + 1; but where the
 * last one is over COUNTER_SKEW ahead of `now`, or the file makes no sense, it
 * is `now`, and the text of *warning says so (it is empty otherwise). False,
 * with nothing taken, when the file cannot be read and written. */
bool counter_take(const char *directory, uint64_t now, unsigned count, uint64_t *first,
                  struct error *warning, struct error *why);

/* The same by the wall clock, from the user's own directory (path_state_directory). Where
 * that cannot be told, *warning is left as it was. */
bool counter_take_own(unsigned count, uint64_t *first, struct error *warning, struct error *why);

/* The last counter that was taken, as counter_take left it in the user's own directory.
 * False if there is none, or it cannot be read. */
bool counter_last_own(uint64_t *last);

#endif
