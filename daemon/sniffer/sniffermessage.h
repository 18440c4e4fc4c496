/* What the supervisor tells a new sniffer: fixed-size structs over SOCK_SEQPACKET, one struct a
 * message, as in message.h. Keys travel in these messages alone, as others can see arguments,
 * environment and files. */
#ifndef PORTSMITH_SNIFFERMESSAGE_H
#define PORTSMITH_SNIFFERMESSAGE_H

#include <stdint.h>

#include "common/envelope.h"
#include "daemon/config/limits.h"

/* The descriptors that the supervisor leaves open in the sniffer. */
enum {
    SNIFFER_FD_SUPERVISOR = 3, /* struct sniffer_setup and sniffer_profiles come in; struct
                                  sniffer_ready goes out when the captures are open. When the
                                  supervisor closes its end, the sniffer ends. */
    SNIFFER_FD_HELPER = 4,     /* struct helper_request goes out, helper_reply comes in */
    SNIFFER_FD_COUNTERS = 5,   /* a file to be mapped, which holds struct counters_memory */
};

enum { SNIFFER_EMPTY_SIZE = CONFIG_PATH_SIZE + sizeof "/empty" };

/* The first message. profile_count messages of struct sniffer_profile follow it. */
struct sniffer_setup {
    uint8_t foreground, debug; /* for the log, as long as the sniffer writes to it */
    uint8_t trace;             /* tell the helper when a knock was captured and opened */
    uint8_t skew_checked;
    uint32_t max_skew;   /* seconds, if skew_checked */
    uint32_t transports; /* a set: bits 1 << enum transport */
    uint32_t uid, gid;   /* that the sniffer becomes */
    uint32_t profile_count;
    uint8_t interface_count, port_count;
    char interfaces[CONFIG_INTERFACES][CONFIG_INTERFACE_NAME_SIZE]; /* to capture on */
    uint16_t ports[CONFIG_KNOCK_PORTS]; /* every knock port in use, host order */
    char empty[SNIFFER_EMPTY_SIZE]; /* the directory that becomes its root directory */
    uint8_t server_public[KEY_SIZE];
};

struct sniffer_ready {
    uint32_t unsupported; /* bit i is set if the link type of setup.interfaces[i] is not known */
};
_Static_assert(CONFIG_INTERFACES <= 32, "a bit for each");

struct sniffer_profile {
    uint8_t key_id[KEY_ID_SIZE];
    uint8_t envelope_key[KEY_SIZE]; /* a secret: both ends wipe it */
    struct signer signer;
    uint16_t port; /* where this client knocks, host order */
};

/* The sniffer ends with 0 when a peer goes away, with 1 when it cannot start, and with this
 * status when a capture ends. */
enum { SNIFFER_EXIT_CAPTURE_ENDED = 3 };

#endif
