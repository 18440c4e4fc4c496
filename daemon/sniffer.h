/* The sniffer: sees every byte that an attacker sends, and can do nothing but
 * pass fixed-size requests to the helper. */
#ifndef PORTSMITH_SNIFFER_H
#define PORTSMITH_SNIFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "counters.h"

enum { SNIFFER_EXIT_CAPTURE_ENDED = 3 };

struct sniffer_start {
    struct config *config; /* becomes the sniffer's own; wiped once used */
    struct counters *counters;
    uint32_t links; /* bit i: config->interfaces[i] is there to be captured */
    int lifeline;   /* one byte is written when the captures are open; its end
                       is the sniffer's end */
    int helper;     /* SOCK_SEQPACKET */
    bool trace;     /* tell the helper when what was done */
};

/* Runs in a freshly forked child, still root; never returns. Exits with 0 when
 * a peer goes away, SNIFFER_EXIT_CAPTURE_ENDED when a capture ends, 1 when it
 * cannot start. */
_Noreturn void sniffer_run(const struct sniffer_start *start);

#endif
