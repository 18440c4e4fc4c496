/* What the sniffer counts, in memory that it shares with the supervisor, who
 * copies the numbers and never acts on them; and what it counts by. */
#ifndef PORTSMITH_COUNTERS_H
#define PORTSMITH_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"

struct counters {
    uint64_t captured;   /* frames that passed the kernel's filter */
    uint64_t dropped;    /* frames that did, but found the capture's buffer full */
    uint64_t garbage;    /* not a knock for this server */
    uint64_t foreign;    /* of those: for other hosts, which only come by here */
    uint64_t authentic;  /* knocks whose envelope opened */
    uint64_t merged;     /* authentic, the first of several in one frame: the rest is not read */
    uint64_t malformed;  /* authentic, but no valid request or source address */
    uint64_t untimely;   /* authentic, outside MaxSkew */
    uint64_t repeated;   /* authentic, counter already spent or under way */
    uint64_t throttled;  /* authentic, beyond the profile's rate */
    uint64_t unsent;     /* authentic, but the helper's queue was full */
    uint64_t passed;     /* handed to the helper */
    uint64_t elsewhere;  /* of those, in time: sign another address than they came from */
    uint64_t granted;    /* of those: opened, extended or closed */
    uint64_t refused;    /* of those: anything else */
};

/* This host's addresses, which the supervisor alone writes, and never reads. While it does
 * the sniffer may see some of each: a frame is counted wrongly then. */
struct own_addresses {
    uint32_t count; /* 0, or all: what is not among them may be this host's, too */
    struct address all[256];
};

struct counters_memory {
    struct counters counters;
    struct own_addresses own;
};

/* Zeroed memory, shared with whoever maps *file, whose size nobody can change; NULL with
 * errno set. Both live as long as the process. */
struct counters_memory *counters_create(int *file);

/* Finds this host's addresses anew. */
void counters_find_own(struct own_addresses *own);

/* Whether a packet to the address is for this host, or for many. True if that is not known. */
bool counters_is_own(const struct own_addresses *own, const struct address *to);

/* Writes one line with the sums to the log. */
void counters_log(const struct counters *counters);

#endif
