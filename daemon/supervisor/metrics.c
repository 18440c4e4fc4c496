#include "daemon/supervisor/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

enum { METRICS_MAX = 8192 };

static const struct metric {
    const char *name, *help;
    size_t offset; /* of the counter in struct counters */
} metrics[] = {
    {"captured_frames_total", "Frames that passed the kernel's filter.",
     offsetof(struct counters, captured)},
    {"dropped_frames_total",
     "Frames that passed the kernel's filter and found the capture's buffer full.",
     offsetof(struct counters, dropped)},
    {"garbage_frames_total", "Captured frames without a knock for this server.",
     offsetof(struct counters, garbage)},
    {"foreign_frames_total", "Captured frames for other hosts; they are among the garbage.",
     offsetof(struct counters, foreign)},
    {"authentic_knocks_total", "Knocks for this server: packets whose envelope opened.",
     offsetof(struct counters, authentic)},
    {"merged_knocks_total", "Authentic knocks that were the first of several in one frame.",
     offsetof(struct counters, merged)},
    {"malformed_knocks_total", "Authentic knocks without a valid request or source address.",
     offsetof(struct counters, malformed)},
    {"untimely_knocks_total", "Authentic knocks outside MaxSkew.",
     offsetof(struct counters, untimely)},
    {"repeated_knocks_total", "Authentic knocks that were the very same again.",
     offsetof(struct counters, repeated)},
    {"throttled_knocks_total", "Authentic knocks beyond their profile's rate.",
     offsetof(struct counters, throttled)},
    {"unsent_knocks_total", "Authentic knocks that found the helper's queue full.",
     offsetof(struct counters, unsent)},
    {"passed_knocks_total", "Authentic knocks that the helper was asked about.",
     offsetof(struct counters, passed)},
    {"elsewhere_knocks_total",
     "Knocks, passed to the helper, that signed another address than they came from.",
     offsetof(struct counters, elsewhere)},
    {"granted_knocks_total", "Knocks that opened, extended or closed something.",
     offsetof(struct counters, granted)},
    {"refused_knocks_total", "Knocks that the helper refused.", offsetof(struct counters, refused)},
};

static void begin_metric(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP portsmith_%s %s\n# TYPE portsmith_%s %s\n", name, help, name, type);
}

static const char *in_force(uint32_t rules)
{
    switch (rules) {
    case HELPER_RULES_IN_FORCE:
    case HELPER_RULES_CONTESTED:
        return "1";
    case HELPER_RULES_MISSING:
        return "0";
    default:
        return "NaN";
    }
}

/* Writes all metrics into `text`, and returns how many bytes they are; 0: there was no room. Each
 * reason for refusals is there from the start, so that the first refusal for it is seen as a
 * rise. */
static size_t write_all(char *text, size_t size, const struct counters *counters,
                        const struct pair *pair)
{
    FILE *out = fmemopen(text, size, "w");
    long written;

    if (!out)
        return 0;
    begin_metric(out, "up", "gauge", "1 while knocks are heard, 0 after a stop.");
    fprintf(out, "portsmith_up %d\n", pair->helper != 0 && pair->sniffer != 0);
    begin_metric(out, "rules_in_force", "gauge",
                 "1 if Portsmith's rules are in the firewall, 0 if some are missing, else NaN.");
    fprintf(out, "portsmith_rules_in_force %s\n", in_force(pair->rules));
    begin_metric(out, "rules_owned", "gauge",
                 "1 if no other program can change Portsmith's rules, else 0.");
    fprintf(out, "portsmith_rules_owned %" PRIu32 "\n", pair->owned);
    begin_metric(out, "live_grants", "gauge", "Grants whose windows are not over.");
    fprintf(out, "portsmith_live_grants %" PRIu32 "\n", pair->live);
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        uint64_t value;

        memcpy(&value, (const char *)counters + metrics[i].offset, sizeof value);
        begin_metric(out, metrics[i].name, "counter", metrics[i].help);
        fprintf(out, "portsmith_%s %" PRIu64 "\n", metrics[i].name, value);
    }
    begin_metric(out, "refusals_total", "counter", "Knocks that the helper refused, by reason.");
    for (uint32_t i = 1; i < VERDICTS; i++)
        if (!verdict_is_grant(i))
            fprintf(out, "portsmith_refusals_total{reason=\"%s\"} %" PRIu64 "\n",
                    verdict_name(i), pair_count(pair, i));
    written = fflush(out) == 0 ? ftell(out) : 0;
    fclose(out);
    return written > 0 ? (size_t)written : 0;
}

bool metrics_write(const char *path, const struct counters *counters, const struct pair *pair,
                   struct error *why)
{
    char text[METRICS_MAX], directory[PATH_MAX];
    size_t size = write_all(text, sizeof text, counters, pair);
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
