/* The sniffer's judgement of what may be a knock: the cheapest check comes first, and nothing is
 * written, logged or allocated for what is not authentic. */
#ifndef PORTSMITH_EXAMINE_H
#define PORTSMITH_EXAMINE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/sniffer/counters.h"
#include "daemon/sniffer/frame.h"
#include "daemon/sniffer/roster.h"
#include "privsep/message.h"

struct knock_limits {
    bool skew_checked;
    uint32_t max_skew; /* seconds */
};

/* True when the frame holds an authentic knock that the helper should see. *message is then
 * complete but for its serial, and the knock's counter is noted in the roster as on its way.
 * False otherwise; the reason is counted, and *message is of no use. */
bool knock_examine(struct helper_request *message, const struct frame *frame,
                   const struct roster *roster, const struct knock_limits *limits,
                   struct counters *counters);

#endif
