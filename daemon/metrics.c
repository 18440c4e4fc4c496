#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

enum { METRICS_MAX = 8192 };

static const struct metric {
    const char *name, *help;
    size_t offset; /* in struct counters */
} metrics[] = {
    {"captured_frames", "Frames that passed the kernel's filter.",
     offsetof(struct counters, captured)},
    {"dropped_frames", "Frames that passed the filter, but found the capture's buffer full.",
     offsetof(struct counters, dropped)},
    {"garbage_frames", "Frames that held no knock for this server.",
     offsetof(struct counters, garbage)},
    {"authentic_knocks", "Knocks whose envelope opened.", offsetof(struct counters, authentic)},
    {"malformed_knocks", "Authentic knocks without a valid request or source address.",
     offsetof(struct counters, malformed)},
    {"untimely_knocks", "Authentic knocks outside MaxSkew.", offsetof(struct counters, untimely)},
    {"repeated_knocks", "Authentic knocks that were the very same again.",
     offsetof(struct counters, repeated)},
    {"throttled_knocks", "Authentic knocks beyond their profile's rate.",
     offsetof(struct counters, throttled)},
    {"unsent_knocks", "Authentic knocks that found the helper's queue full.",
     offsetof(struct counters, unsent)},
    {"passed_knocks", "Authentic knocks that the helper judged or is to judge.",
     offsetof(struct counters, passed)},
    {"granted_knocks", "Knocks that opened, extended or closed something.",
     offsetof(struct counters, granted)},
    {"refused_knocks", "Knocks that the helper refused.", offsetof(struct counters, refused)},
};

static size_t write_metrics(char *text, size_t size, const struct counters *counters, bool up)
{
    int n = snprintf(text, size, "# HELP portsmith_up Whether knocks are heard.\n"
                                 "# TYPE portsmith_up gauge\nportsmith_up %d\n", up);
    size_t used = (size_t)n;

    for (size_t i = 0; i < sizeof metrics / sizeof *metrics && used < size; i++) {
        const struct metric *m = &metrics[i];
        uint64_t value;

        memcpy(&value, (const char *)counters + m->offset, sizeof value);
        n = snprintf(text + used, size - used,
                     "# HELP portsmith_%s_total %s\n# TYPE portsmith_%s_total counter\n"
                     "portsmith_%s_total %" PRIu64 "\n", m->name, m->help, m->name, m->name, value);
        used += (size_t)n;
    }
    return used < size ? used : size - 1;
}

bool metrics_write(const char *path, const struct counters *counters, bool up, struct error *why)
{
    char text[METRICS_MAX], directory[PATH_MAX];
    size_t size = write_metrics(text, sizeof text, counters, up);
    const char *name = strrchr(path, '/') + 1;
    int dir;
    bool done;

    snprintf(directory, sizeof directory, "%.*s", (int)(name - path), path);
    dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_set(why, "%s: %s", directory, strerror(errno));
    done = file_replace(dir, name, 0644, text, size, why);
    close(dir);
    return done;
}
