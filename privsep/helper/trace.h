/* Where the time goes from the wire to the rule: portsmithd --trace. Off, it costs a
 * branch. */
#ifndef PORTSMITH_TRACE_H
#define PORTSMITH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/message.h"

/* What a batch has behind it. */
enum trace_stage {
    TRACE_RECEIVED,
    TRACE_VERIFIED, /* every signature in it */
    TRACE_MARKED,   /* durably */
    TRACE_DECIDED,  /* by policy */
    TRACE_CHANGED,  /* the firewall, acknowledged */
    TRACE_STAGES
};

struct trace {
    bool on;
    int64_t at[TRACE_STAGES]; /* wall clock, nanoseconds */
};

void helper_trace_note(struct trace *trace, enum trace_stage stage);

/* Logs a line for a knock that opened: microseconds of each stage. Nothing when it is
 * off. `said` is the sniffer's, who may say anything: what cannot be is a dash. */
void helper_trace_log(const struct trace *trace, const struct helper_times *said,
                      const char *profile, size_t batch);

#endif
