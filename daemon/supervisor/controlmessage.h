/* What portsmithctl asks of a running portsmithd over RunDirectory/control, and the reply: one
 * struct each way over SOCK_SEQPACKET, exact size or nothing. Then the connection ends. Both ends
 * are one build on one host, so the structs travel as they lie in memory, zeroed before they are
 * filled. */
#ifndef PORTSMITH_CONTROLMESSAGE_H
#define PORTSMITH_CONTROLMESSAGE_H

#include <stdint.h>

#include "daemon/config/config.h"
#include "daemon/sniffer/counters.h"
#include "privsep/message.h"

#define CONTROL_SOCKET "control" /* in the run directory */

enum {
    CONTROL_GRANTS = 32,          /* in one reply */
    CONTROL_NAME_SIZE = 36,       /* POLICY_NAME_SIZE, without padding behind it */
    CONTROL_TEXT_SIZE = 640,
    CONTROL_TROUBLE_SIZE = 128,
};

enum control_verb {
    CONTROL_STATUS = 1,
    CONTROL_LIST = 2,    /* the grants above `id` */
    CONTROL_CLOSE = 3,   /* the grants of `scope` */
    CONTROL_RELOAD = 4,  /* for root alone */
    CONTROL_RELEASE = 5, /* for root alone */
    CONTROL_REVOKE = 6,  /* for root alone: reload without `profile`, whose file is removed, and
                            end the connections that came in through its grants */
};

struct control_request {
    uint32_t verb;  /* enum control_verb */
    uint32_t scope; /* CONTROL_CLOSE: enum helper_scope; CONTROL_REVOKE:
                       HELPER_SCOPE_PROFILE; else 0 */
    uint32_t id;
    uint32_t kill;  /* 0 or 1; CONTROL_REVOKE: 1 */
    char profile[CONTROL_NAME_SIZE]; /* with HELPER_SCOPE_PROFILE; zeros behind it */
};
_Static_assert(sizeof(struct control_request) == 52, "no hidden padding");

enum control_result {
    CONTROL_DONE = 1,
    CONTROL_FAILED = 2,     /* `text` says why */
    CONTROL_FORBIDDEN = 3,  /* only root may */
    CONTROL_RESTARTING = 4, /* between two helpers */
};

struct control_grant {
    uint32_t id;
    uint32_t seconds_left;
    uint32_t is_counted; /* 1: `used` is known */
    uint32_t used;    /* connections that came in through it, so far */
    uint32_t elsewhere; /* 1: the knock signed another address than the one it came from */
    struct address address;
    struct service service;
    char profile[CONTROL_NAME_SIZE]; /* empty when the profile was removed */
};
_Static_assert(sizeof(struct control_grant) == 76, "no hidden padding");

struct control_interface {
    char name[CONFIG_INTERFACE_NAME_SIZE];
    uint32_t captured; /* 1: the interface is there, up, and captured */
    uint32_t unsupported; /* 1: it is there, but not captured, as its link type is not known */
};

struct control_status {
    uint32_t supervisor, sniffer, helper, witness; /* process ids; 0: does not run */
    uint32_t uptime, pair_uptime; /* seconds: of the daemon; of the other three */
    uint32_t backend;  /* enum backend; BACKEND_AUTO: none was chosen yet */
    uint32_t families; /* bit 0: IPv4, bit 1: IPv6; 0: the helper does not answer */
    uint32_t grant_store; /* enum grant_store; GRANT_STORE_AUTO: not known */
    uint32_t rules;    /* enum helper_rules */
    uint32_t owned;    /* 1: nobody else can change the rules; else 0 */
    uint32_t live;     /* grants */
    uint32_t profiles;
    uint32_t interface_count;
    uint32_t shut_count;
    uint32_t trial_left; /* seconds; 0: what is shut is not on trial */
    struct control_interface interfaces[CONFIG_INTERFACES];
    struct service shut[SHUT_SERVICES];
    char trouble[CONTROL_TROUBLE_SIZE]; /* why those three are started again; else empty */
    uint8_t fingerprint[CONFIG_FINGERPRINT_SIZE]; /* of the configuration in force */
    uint8_t shared_fingerprint[CONFIG_FINGERPRINT_SIZE]; /* of its profiles, for other members */
    uint8_t server_public[KEY_SIZE];
    char group[CONTROL_NAME_SIZE]; /* of which the host is a member; empty: of none */
    char member[MEMBER_NAME_SIZE];
    uint64_t roster_version;  /* 0: there is no roster */
    int64_t roster_not_after; /* first second of its invalidity, epoch */
    uint64_t roster_profiles; /* that it gives here */
    struct counters counters;    /* by the sniffer, since the daemon began */
    uint64_t verdicts[VERDICTS]; /* by the helper, since the daemon began */
};

struct control_reply {
    uint32_t verb;   /* the request's */
    uint32_t result; /* enum control_result */
    uint32_t closed; /* CONTROL_CLOSE, CONTROL_REVOKE: grants */
    uint32_t ended;  /* the same with `kill`: connections */
    uint32_t count;  /* CONTROL_LIST: of `grants` */
    uint32_t more;   /* CONTROL_LIST: 1: there are grants above the last of these */
    char text[CONTROL_TEXT_SIZE];
    struct control_grant grants[CONTROL_GRANTS]; /* ascending by id */
    struct control_status status;                /* CONTROL_STATUS */
};

#endif
