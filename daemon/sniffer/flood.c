#include "daemon/sniffer/flood.h"

#include "daemon/sniffer/capture.h"

int64_t flood_pause(struct flood *flood, const struct counters *counters, int64_t now)
{
    const struct flood last = *flood;
    uint64_t frames = counters->captured - last.captured;

    *flood = (struct flood){.at = now, .captured = counters->captured, .passed = counters->passed};
    if (frames >= CAPTURE_FRAMES_AT_ONCE || counters->passed != last.passed)
        return 0;
    return now - last.at < (int64_t)frames * FLOOD_PAUSE_NS ? FLOOD_PAUSE_NS : 0;
}
