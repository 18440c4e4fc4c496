#include "daemon/witness/trace.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    SECONDS_MAX = 60, /* no knock that is honoured takes as long */
    SPAN_SIZE = sizeof "60000000",
};

static const char *span(int64_t from, int64_t to, char text[static SPAN_SIZE])
{
    const int64_t most = (int64_t)SECONDS_MAX * NSEC_PER_SEC;

    /* Both times are above 0, so that their difference is in range. */
    if (from <= 0 || to < from || to - from > most)
        snprintf(text, SPAN_SIZE, "-");
    else
        snprintf(text, SPAN_SIZE, "%d", (int)((to - from) / (NSEC_PER_SEC / USEC_PER_SEC)));
    return text;
}

void trace_log(const struct helper_event *event, const char *profile)
{
    enum { SNIFFERS = 3, PARTS = SNIFFERS + TRACE_STAGES - 1 };
    char text[PARTS][SPAN_SIZE], whole[SPAN_SIZE];
    int64_t at[PARTS + 1] = {event->times.captured, event->times.taken, event->times.opened};

    if (event->trace[0] == 0)
        return;
    for (size_t i = 0; i < TRACE_STAGES; i++)
        at[SNIFFERS + i] = event->trace[i];
    for (size_t i = 0; i < PARTS; i++)
        span(at[i], at[i + 1], text[i]);
    log_info("%s: trace: capture %s, envelope %s, hand-over %s, signature %s, mark %s, policy %s, "
             "firewall %s; %s us from the wire to the rule, %" PRIu32 " at once", profile, text[0],
             text[1], text[2], text[3], text[4], text[5], text[6], span(at[0], at[PARTS], whole),
             event->together);
}
