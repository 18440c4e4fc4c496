/* Where the time goes from the wire to the rule, for portsmithd --trace. */
#ifndef PORTSMITH_TRACE_H
#define PORTSMITH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/message.h"

/* The stages of a batch. */
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

/* Notes that a stage is over, if tracing is on. */
void helper_trace_note(struct trace *trace, enum trace_stage stage);

/* Logs a line for a knock that opened, if tracing is on: how many microseconds each stage took.
 * `batch` is how many requests were served together. `times` come from the sniffer, which may
 * say anything: a span that cannot be is a dash. */
void helper_trace_log(const struct trace *trace, const struct helper_times *times,
                      const char *profile, size_t batch);

#endif
