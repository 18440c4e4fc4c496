/* The two clocks in use. Counters and the deadlines of rules go by the wall clock. Windows go
 * by the time since boot, which never steps, and goes on while the host is suspended
 * (clock_gettime(2)). */
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

/* ---- linux/clockwatch.c -------------------------------------------------- */

/* Makes a descriptor that becomes readable when anybody sets the wall clock. It does not block, and
 * execve(2) closes it. Returns it, which the caller closes, or -1 with errno. */
int clock_watch(void);

/* Whether the wall clock was set since the watch was made, or since this last said so. */
bool clock_was_set(int watch);

#endif
