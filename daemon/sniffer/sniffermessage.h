/* What the supervisor tells a new sniffer: fixed-size structs over SOCK_SEQPACKET, one
 * struct a message, as in message.h. Keys travel here alone: arguments, environment and
 * files are for others to see. */
#ifndef PORTSMITH_SNIFFERMESSAGE_H
#define PORTSMITH_SNIFFERMESSAGE_H

#include <stdint.h>

#include "daemon/config/config.h"

/* The descriptors that the supervisor leaves open in the sniffer. */
enum {
    SNIFFER_FD_SUPERVISOR = 3, /* setup in, struct sniffer_ready out when the captures are
                                  open; its end is the sniffer's end */
    SNIFFER_FD_HELPER = 4,     /* struct helper_request out, helper_reply in */
    SNIFFER_FD_COUNTERS = 5,   /* to be mapped: struct counters_memory */
};

enum { SNIFFER_EMPTY_SIZE = CONFIG_PATH_SIZE + sizeof "/empty" };

/* First message: once. Then profile_count of struct sniffer_profile. */
struct sniffer_setup {
    uint8_t foreground, debug; /* for the log, until it serves */
    uint8_t trace;             /* tell the helper when what was done */
    uint8_t skew_checked;
    uint32_t max_skew;   /* seconds, when skew_checked */
    uint32_t transports; /* bits 1 << enum transport */
    uint32_t uid, gid;   /* to become */
    uint32_t profile_count;
    uint8_t interface_count, port_count;
    char interfaces[CONFIG_INTERFACES][CONFIG_INTERFACE_NAME_SIZE]; /* to capture on */
    uint16_t ports[CONFIG_KNOCK_PORTS]; /* every knock port in use, host order */
    char empty[SNIFFER_EMPTY_SIZE]; /* directory; to become the root directory */
    uint8_t server_public[KEY_SIZE];
};

struct sniffer_ready {
    uint32_t unsupported; /* bit i: the link type of setup.interfaces[i] is not known here */
};
_Static_assert(CONFIG_INTERFACES <= 32, "a bit for each");

struct sniffer_profile {
    uint8_t key_id[KEY_ID_SIZE];
    uint8_t envelope_key[KEY_SIZE]; /* secret: both ends wipe it */
    uint8_t public_key[KEY_SIZE];
    uint16_t port; /* knock port, host order */
};

/* The sniffer's exit status besides 0, when a peer goes away, and 1, when it cannot
 * start. */
enum { SNIFFER_EXIT_CAPTURE_ENDED = 3 };

#endif
