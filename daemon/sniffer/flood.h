/* When the sniffer pauses in a flood. Being woken for a frame costs several times what it costs
 * to turn garbage away. After a short pause the sniffer takes many frames at once, as a network
 * card does with its interrupts. */
#ifndef PORTSMITH_FLOOD_H
#define PORTSMITH_FLOOD_H

#include <stdint.h>

#include "daemon/sniffer/counters.h"

enum { FLOOD_PAUSE_NS = 400 * 1000 }; /* nanoseconds */

/* Where the counters stood when frames were last read; all 0 before that. */
struct flood {
    int64_t at; /* CLOCK_BOOTTIME, nanoseconds */
    uint64_t captured, passed;
};

/* How long to pause now that frames have been read, in nanoseconds. `now` is CLOCK_BOOTTIME in
 * nanoseconds. The pause is FLOOD_PAUSE_NS if frames come faster than one in that time, none of
 * those that were read was passed on, and no more of them wait; else 0. So the sniffer does not
 * pause on a quiet host, nor where many clients knock. */
int64_t flood_pause(struct flood *flood, const struct counters *counters, int64_t now);

#endif
