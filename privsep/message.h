/* What crosses into portsmith-prepare and portsmith-helper, which it becomes, and back: fixed-size
 * structs over SOCK_SEQPACKET, one struct a message, exact size or nothing. No strings to parse, no
 * lengths, no descriptors. Both ends are one build on one host, so the structs travel as they lie
 * in memory, zeroed before they are filled. */
#ifndef PORTSMITH_MESSAGE_H
#define PORTSMITH_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/envelope.h"
#include "common/request.h"
#include "common/service.h"
#include "common/verdict.h"

/* The descriptors that the supervisor leaves open in portsmith-prepare, which becomes the
 * helper. */
enum {
    HELPER_FD_SUPERVISOR = 3, /* setup, commands; its end is the helper's end */
    HELPER_FD_SNIFFER = 4,    /* struct helper_request in, helper_reply out */
    HELPER_FD_STATE = 5,      /* the state directory: marks. The helper does not have it */
    HELPER_FD_RUN = 6,        /* its own part of the run directory. The helper does not have it */
    HELPER_FD_NEWS = 7,       /* a netlink socket of netfilter, connected to the kernel, for news of
                                 connections: the helper joins and leaves, the witness reads */
    HELPER_FD_WITNESS = 8,    /* struct helper_event out, witness_word in (event.h) */
    HELPER_FD_PLAN = 9,       /* the memfd of plan.h */
    HELPER_FD_TABLE = 10,     /* a netlink socket of netfilter, connected to the kernel, for all
                                 helpers in turn: with BACKEND_NFTABLES it owns the table. The
                                 supervisor neither reads it nor writes to it */
};

/* The descriptors that portsmith-prepare opens for the helper besides. */
enum {
    HELPER_FD_MARKS = 11,     /* the file of marks */
    HELPER_FD_GRANTS = 12,    /* the file of grants (granttable.h) */
    HELPER_FD_XTABLES_LOCK = 13,      /* /run/xtables.lock, and the directory that it lies in: */
    HELPER_FD_XTABLES_DIRECTORY = 14, /* both O_PATH; with iptables-legacy alone */
    HELPER_FD_LANDLOCK = 15, /* Landlock rules, narrower than prepare's, which the helper puts in
                                force; not where the kernel has no Landlock */
    HELPER_FD_LOCK = 16, /* the lock of the state directory. What is run inherits it: the next
                            helper waits for the last transaction of this one, too */
};

enum {
    POLICY_NAME_SIZE = 33, /* [a-z0-9-]{1,32} and a zero; for the log alone */
    POLICY_SERVICES = 16,
    POLICY_PREFIXES = 8,
    POLICY_DESTINATIONS = 8,
    SHUT_SERVICES = 64,
    MARK_COUNTERS = 8,
    MAX_GRANTS_MOST = 10000, /* of one profile, and of all together */
    CONNECTIONS_MAX = 8, /* of a profile that limits them */
    POLICY_HOURS = 32,
    MINUTES_A_DAY = 24 * 60,
    MINUTES_A_WEEK = 7 * MINUTES_A_DAY,
    TRIAL_SECONDS_MAX = 86400,
};

/* ---- sniffer to helper -------------------------------------------------- */

/* When, by the wall clock in nanoseconds; all 0 unless portsmithd runs with --trace.
 * For the helper to print, never to believe. */
struct helper_times {
    int64_t captured; /* by the kernel */
    int64_t taken;    /* by the sniffer, awake */
    int64_t opened;   /* its envelope, and found fit to be passed on */
};

/* What the client asks for is in `request` alone, which it signed. */
struct helper_request {
    uint8_t key_id[KEY_ID_SIZE];
    struct address observed; /* where the knock came from; always foreign */
    uint8_t request[REQUEST_SIZE];
    struct signature signature;
    uint8_t zero[3]; /* all 0, as anything else between its members */
    struct helper_times times;
};
_Static_assert(sizeof(struct helper_request) == 184, "no hidden padding");

/* ---- helper to sniffer -------------------------------------------------- */

/* One for each request, in their order. */
struct helper_reply {
    uint64_t verdict; /* enum verdict */
    uint64_t counters[MARK_COUNTERS]; /* the mark as it now stands; all zero
                                         unless the signature was right */
};
_Static_assert(sizeof(struct helper_reply) == 72, "no hidden padding");

/* ---- supervisor to helper ----------------------------------------------- */

enum backend {
    BACKEND_AUTO = 0,
    BACKEND_NFT = 1,      /* iptables-nft */
    BACKEND_LEGACY = 2,   /* iptables-legacy */
    BACKEND_NFTABLES = 3, /* a table of our own, without iptables */
};

/* What grants are kept as. */
enum grant_store { GRANT_STORE_AUTO = 0, GRANT_STORE_RULES = 1, GRANT_STORE_SET = 2 };

/* When knocks are honoured: minutes since Monday 00:00 UTC, both on one day. */
struct hours {
    uint16_t from, to; /* `to` itself is not included */
};

/* A service of which this host is only the gateway: whom it sends the packets on to. */
struct helper_destination {
    struct service service;
    uint16_t port; /* host byte order; not 0 */
    struct address address;
};

/* What the helper holds one client to. portsmithd reads the profile's file into it and sends it,
 * and portsmith-prepare puts it into the plan as it came: a limit is written down here and nowhere
 * else. What lies between and behind its values and the elements in use is zero.
 *
 * Only a message has room for the longest lists. Whoever keeps ten thousand of them keeps of
 * each the first helper_profile_size bytes: never copy what is behind a pointer to one as a
 * whole. A new list goes where the profiles that have it are as rare as those around it. */
struct helper_profile {
    int64_t expires;      /* first second of invalidity, epoch; 0: never */
    uint32_t window;      /* seconds, when the knock names none */
    uint32_t max_window;  /* seconds; longer wishes are cut to it */
    uint32_t max_grants;  /* live grants of this profile */
    uint16_t connections; /* that a grant admits; 0: any number */
    uint16_t untracked;   /* bit i: the kernel is told not to track services[i] */
    uint8_t needs_signed_address; /* 1 or 0 */
    uint8_t service_count; /* 1 to POLICY_SERVICES */
    uint8_t prefix_count;  /* 0: any address */
    uint8_t hours_count;   /* 0: at any time */
    uint8_t destination_count; /* a service has none, or one for a family */
    struct signer signer;
    char name[POLICY_NAME_SIZE];
    struct service services[POLICY_SERVICES]; /* ascending */
    struct prefix prefixes[POLICY_PREFIXES];
    struct hours hours[POLICY_HOURS]; /* ascending, apart */
    struct helper_destination destinations[POLICY_DESTINATIONS];
};
_Static_assert(sizeof(struct helper_profile) ==
                   128 + POLICY_SERVICES * sizeof(struct service) +
                       POLICY_PREFIXES * sizeof(struct prefix) +
                       POLICY_HOURS * sizeof(struct hours) +
                       POLICY_DESTINATIONS * sizeof(struct helper_destination),
               "no hidden padding");

/* The bytes of a profile, up to the end of the last element in use. */
size_t helper_profile_size(const struct helper_profile *p);

/* Any later message from the supervisor is a struct helper_order. End of file without
 * HELPER_STOP leaves live grants in place, for the next helper to take over. Which grants
 * there are the supervisor reads in the helper's table (granttable.h). */
enum helper_command {
    HELPER_STOP = 1, /* remove the grants, then exit */
    HELPER_TELL = 2, /* the helper reports how it is */
    HELPER_CLOSE = 3 /* take grants away */
};

enum helper_scope {
    HELPER_SCOPE_ID = 1,      /* the grant `id` */
    HELPER_SCOPE_PROFILE = 2, /* those of `key_id` */
    HELPER_SCOPE_ALL = 3,
};

struct helper_order {
    uint32_t command; /* enum helper_command */
    uint32_t serial;  /* comes back in the report; not 0 */
    uint32_t scope;   /* HELPER_CLOSE: enum helper_scope; else 0 */
    uint32_t id;
    uint32_t last_id; /* of the grants of more than one: those that have a later id stay */
    uint32_t kill;    /* 1: the connections made through them are ended, too; else 0 */
    uint8_t key_id[KEY_ID_SIZE];
};
_Static_assert(sizeof(struct helper_order) == 32, "no hidden padding");

/* ---- helper to supervisor ----------------------------------------------- */

/* What a message begins with. HELPER_PEER_BROKEN is a message of its own, a uint32_t.
 * HELPER_REPORT begins a struct helper_report. */
enum helper_report_kind {
    HELPER_PEER_BROKEN = 1, /* the sniffer or the witness sent what an honest one cannot, or the
                               witness has gone: all are to be replaced */
    HELPER_REPORT = 2,
};

/* What is known of the rules in the kernel. */
enum helper_rules {
    HELPER_RULES_UNKNOWN = 0,   /* the firewall could not be read or changed */
    HELPER_RULES_IN_FORCE = 1,
    HELPER_RULES_MISSING = 2,   /* another program removed some: not put back yet */
    HELPER_RULES_CONTESTED = 3, /* in force, but another program keeps removing them. The
                                   supervisor says so, not the helper */
};

/* The helper sends one for each order but HELPER_STOP. It sends one with the serial 0, by
 * itself, when it is ready (the firewall is as configured, and the marks are loaded), when what
 * is known of the rules has changed, and when it ends. */
struct helper_report {
    uint32_t kind;     /* HELPER_REPORT */
    uint32_t serial;   /* the order's */
    uint32_t backend;  /* enum backend, as probed */
    uint32_t families; /* bit 0: IPv4, bit 1: IPv6 */
    uint32_t grant_store; /* GRANT_STORE_RULES or _SET, as probed */
    uint32_t live;     /* grants, after what was ordered */
    uint32_t closed;   /* HELPER_CLOSE: grants taken away */
    uint32_t failed;   /* 1: the firewall could not be changed yet */
    uint32_t rules;    /* enum helper_rules */
    uint32_t owned;    /* 1: nobody else can change the rules (BACKEND_NFTABLES); else 0 */
    uint64_t verdicts[VERDICTS]; /* since this helper began: how many had each */
};
_Static_assert(sizeof(struct helper_report) == 40 + 8 * VERDICTS, "no hidden padding");

/* The helper's exit statuses. */
enum {
    HELPER_EXIT_OK = 0,
    HELPER_EXIT_FAILURE = 1,       /* may pass: try again */
    HELPER_EXIT_MISSING = 69,      /* the programs of the back end are not there */
    HELPER_EXIT_UNUSABLE = 78,     /* this host or configuration cannot work */
};

#endif
