/* When not to look at once whether another frame has come. To be woken for one costs
 * several times what it does to turn garbage away; after a short pause many are taken at
 * once, as a network card does with its interrupts. */
#ifndef PORTSMITH_FLOOD_H
#define PORTSMITH_FLOOD_H

#include <stdint.h>

#include "daemon/sniffer/counters.h"

enum { FLOOD_PAUSE_NS = 400 * 1000 };

/* Where the counters stood when frames were last read; all 0 before that. */
struct flood {
    int64_t at; /* CLOCK_BOOTTIME, nanoseconds */
    uint64_t captured, passed;
};

/* How long to pause now that frames have been read, in nanoseconds: FLOOD_PAUSE_NS where
 * they come faster than one in that time, none of these was worth passing on, and no
 * more of them wait; else 0. So a quiet host, and one where many knock, never pause. */
int64_t flood_pause(struct flood *flood, const struct counters *counters, int64_t now);

#endif
