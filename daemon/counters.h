/* What the sniffer counts, in a page that it shares with the supervisor, who
 * copies the numbers and never acts on them. */
#ifndef PORTSMITH_COUNTERS_H
#define PORTSMITH_COUNTERS_H

#include <stdint.h>

struct counters {
    uint64_t captured;   /* frames that passed the kernel's filter */
    uint64_t dropped;    /* frames that did, but found the capture's buffer full */
    uint64_t garbage;    /* not a knock for this server */
    uint64_t authentic;  /* knocks whose envelope opened */
    uint64_t malformed;  /* authentic, but no valid request or source address */
    uint64_t untimely;   /* authentic, outside MaxSkew */
    uint64_t repeated;   /* authentic, counter already spent or under way */
    uint64_t throttled;  /* authentic, beyond the profile's rate */
    uint64_t unsent;     /* authentic, but the helper's queue was full */
    uint64_t passed;     /* handed to the helper */
    uint64_t granted;    /* of those: opened, extended or closed */
    uint64_t refused;    /* of those: anything else */
};

/* A zeroed page that forked children share, or NULL with errno set. It lives
 * as long as the process. */
struct counters *counters_create(void);

/* Writes one line with the sums to the log. */
void counters_log(const struct counters *counters);

#endif
