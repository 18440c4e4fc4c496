/* The counters of this user's knocks: the last one that was used is kept in a file, which
 * portsmith-protocol(7) describes. */
#ifndef PORTSMITH_COUNTER_H
#define PORTSMITH_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* How far ahead of the clock the last counter may be and still be followed, in microseconds.
 * Servers accept as much by default (MaxSkew). */
#define COUNTER_SKEW UINT64_C(300000000)

/* Takes `count` consecutive counters, one for each datagram, and stores the first in *first. No
 * other process takes the same ones: the file "counter" in `directory`, which is made if it is
 * missing, is locked meanwhile. The last of the counters is on the disk before this returns.
 * `now` is clock_wall_us().
 *
 * The first counter is `now`, or the last one + 1 if that is greater. Where the last one is over
 * COUNTER_SKEW ahead of `now`, or the file makes no sense, the first counter is `now`, and the text
 * of *warning says why. That text is empty otherwise. False with the reason, and with no counter
 * taken, if the file cannot be read and written. */
bool counter_take(const char *directory, uint64_t now, unsigned count, uint64_t *first,
                  struct error *warning, struct error *why);

/* As counter_take, by the wall clock and from the user's own directory, path_state_directory.
 * Where that directory cannot be told, *warning is left as it was. */
bool counter_take_own(unsigned count, uint64_t *first, struct error *warning, struct error *why);

/* Stores the last counter that counter_take has left in the user's own directory. False if there
 * is none, or it cannot be read. */
bool counter_last_own(uint64_t *last);

#endif
