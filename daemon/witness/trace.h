/* Where the time goes from the wire to the rule, for portsmithd --trace. */
#ifndef PORTSMITH_WITNESS_TRACE_H
#define PORTSMITH_WITNESS_TRACE_H

#include "privsep/event.h"

/* Logs a line for a knock of the profile that opened, if tracing is on: how many microseconds each
 * stage took, and how many requests were served together. event->times come from the sniffer,
 * which may say anything: a span that cannot be is a dash. */
void trace_log(const struct helper_event *event, const char *profile);

#endif
