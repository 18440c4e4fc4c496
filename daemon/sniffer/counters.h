/* What the sniffer counts, in memory that it shares with the supervisor. The supervisor copies
 * the numbers and never acts on them. In the same memory it tells the sniffer this host's
 * addresses. */
#ifndef PORTSMITH_COUNTERS_H
#define PORTSMITH_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"

struct counters {
    uint64_t captured;   /* frames that passed the kernel's filter */
    uint64_t dropped;    /* frames that passed it, but found the capture's buffer full */
    uint64_t garbage;    /* captured frames that hold no knock for this server */
    uint64_t foreign;    /* garbage for other hosts, which only comes by here */
    uint64_t authentic;  /* knocks whose envelope opened */
    uint64_t merged;     /* authentic, the first of several in one frame: the rest is not read */
    uint64_t malformed;  /* authentic, without a valid request or source address */
    uint64_t untimely;   /* authentic, outside MaxSkew */
    uint64_t repeated;   /* authentic, and its counter is spent, or the very same is under way */
    uint64_t throttled;  /* authentic, beyond the profile's rate */
    uint64_t unsent;     /* authentic, but the helper's queue was full */
    uint64_t passed;     /* authentic, and handed to the helper */
    uint64_t elsewhere;  /* passed, in time, but signs another address than it came from */
    uint64_t granted;    /* passed, and the helper opened, extended or closed something */
    uint64_t refused;    /* passed, and the helper did nothing */
};

/* This host's addresses. The supervisor alone writes them. The sniffer may read them while they
 * are written: it counts a frame wrongly then. */
struct own_addresses {
    uint32_t count; /* 0 or all 256 places: there may be more addresses than these */
    struct address all[256];
};

struct counters_memory {
    struct counters counters;
    struct own_addresses own;
};

/* Makes zeroed memory, shared with whoever maps *file, a descriptor of a file whose size nobody
 * can change. Both stay as long as the process. NULL with errno set on failure. */
struct counters_memory *counters_create(int *file);

/* Finds this host's addresses anew. Where the kernel does not tell them, they stay. */
void counters_find_own(struct own_addresses *own);

/* Whether a packet to the address is for this host, or for many hosts. True if that is not
 * known. */
bool counters_is_own(const struct own_addresses *own, const struct address *to);

/* Writes the numbers to the log, in one line. */
void counters_log(const struct counters *counters);

#endif
