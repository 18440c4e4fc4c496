/* The two clocks in use: wall time for counters and rule deadlines, boot time
 * for windows (it counts suspend and never steps; clock_gettime(2)). */
#ifndef PORTSMITH_CLOCK_H
#define PORTSMITH_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum {
    USEC_PER_SEC = 1000000,
    NSEC_PER_SEC = 1000000000,
    NSEC_PER_MSEC = 1000000,
};

int64_t clock_boot_ns(void);   /* CLOCK_BOOTTIME, nanoseconds */
int64_t clock_wall_ns(void);   /* CLOCK_REALTIME, nanoseconds since the epoch */
uint64_t clock_wall_us(void);  /* the same, microseconds: a counter's unit */

/* A descriptor that is readable once the wall clock was set, by whomever; it does
 * not block and is closed by exec(3). -1 with errno set: there is none. */
int clock_watch(void);

/* Whether the wall clock was set since the watch was made, or last asked. */
bool clock_was_set(int watch);

#endif
