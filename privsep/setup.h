/* What the supervisor sends to portsmith-prepare first. The helper finds what it needs of it in the
 * plan (plan.h), as it was settled. */
#ifndef PORTSMITH_SETUP_H
#define PORTSMITH_SETUP_H

#include <stdint.h>

#include "privsep/message.h"

enum helper_mode {
    HELPER_RUN = 1,     /* serve until end of file */
    HELPER_PROBE = 2,   /* try what HELPER_RUN would need, change nothing, exit. What is missing is
                           sent to the supervisor, as text without a zero */
    HELPER_RELEASE = 3, /* remove all of Portsmith from the firewall, exit */
    HELPER_RELEASE_OTHER = 4, /* the same, of the back end that `backend` is not, exit */
};

/* The first message, which is sent once. profile_count messages of
 * struct helper_profile follow. */
struct helper_setup {
    uint32_t mode;    /* enum helper_mode */
    uint32_t backend; /* enum backend */
    uint32_t grant_store; /* enum grant_store */
    uint8_t foreground, debug; /* for the log */
    uint8_t trace;             /* log where the time goes */
    uint8_t shut_with_reset;
    uint8_t forward; /* what passes through this host is opened, too */
    uint8_t sends_on; /* a profile has destinations */
    uint8_t skew_checked;
    uint8_t has_synproxy; /* SYNPROXY answers the SYNs that are not tracked */
    uint32_t max_skew;   /* seconds, when skew_checked */
    uint32_t max_grants; /* live grants in all */
    uint32_t shut_count;
    int64_t trial_end; /* CLOCK_BOOTTIME, nanoseconds: from then on the kernel shuts nothing
                          any more; 0: it does not end */
    struct service shut[SHUT_SERVICES];
    uint32_t profile_count;
    uint32_t accept_mark; /* bits that a granted packet's mark is given, with BACKEND_NFTABLES;
                             0: none */
    uint8_t server_public[KEY_SIZE];
    uint8_t member[MEMBER_SIZE]; /* by which knocks name this host; zeros: it is of no group */
};

#endif
