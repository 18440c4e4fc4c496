/* Which iptables this host has and what it can do, found by trying it. */
#ifndef PORTSMITH_PROBE_H
#define PORTSMITH_PROBE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/address.h"
#include "common/error.h"
#include "privsep/message.h"

struct xtables {
    enum backend backend;        /* BACKEND_NFT or BACKEND_LEGACY */
    bool in_use[FAMILIES];       /* IPv6: unless the kernel has none */
    const char *paths[FAMILIES]; /* of the restore programs, absolute */
    bool has_nat[FAMILIES];      /* at the time of the probe: see probe_has_nat */
    bool tells_sessions[FAMILIES]; /* see probe_sessions; only by that */
};

/* What only some configurations use: bits. */
enum probe_wish {
    PROBE_LIMITS = 1,   /* a profile has Connections */
    PROBE_SENDS_ON = 2, /* a profile sends a service on to another host */
    PROBE_SETS = 4,      /* grants are kept in sets */
    PROBE_DEADLINES = 8, /* grants are rules, with a deadline each */
    PROBE_TRIAL = 16,    /* what is shut has a deadline */
    PROBE_SESSIONS = 32, /* what probe_sessions is about */
};

enum probe_result {
    PROBE_USABLE,
    PROBE_UNUSABLE,  /* something is missing */
    PROBE_MISSING,   /* the programs are */
    PROBE_UNDECIDED, /* the xtables lock was held, or the like: try again */
};

/* Chooses a back end and proves, in a scratch chain that is removed again, that
 * every match and target in use, by `wishes` (enum probe_wish) too, works for every
 * family in use. With BACKEND_AUTO it is the one that `iptables` is on this host.
 * Otherwise *why says what is missing, and what to do. */
enum probe_result probe_xtables(struct xtables *found, enum backend wanted, unsigned wishes,
                                struct error *why);

/* In which families rules in INPUT can tell the segments of a session of this host's from
 * others: found->tells_sessions. False if not in all that are in use, with the reason in
 * *why, in words that go on from "a segment of a session cannot be told: ". Tries as
 * probe_xtables does. */
bool probe_sessions(struct xtables *found, struct error *why);

/* Writes, for iptables-restore(8), what probe_xtables tries in the scratch chains of a
 * family. */
void probe_write(FILE *out, enum family family, unsigned wishes);

/* Only chooses, and finds the restore programs: tries nothing, changes nothing. False
 * with the reason, and what to do, in *why. */
bool probe_choose(struct xtables *found, enum backend wanted, struct error *why);

/* The restore program of a back end, or NULL when it is not installed. */
const char *probe_program(enum backend backend, enum family family);

/* The same, or NULL also where the back end is not in use: only to ask iptables-legacy
 * would make its tables. */
const char *probe_program_in_use(enum backend backend, enum family family);

/* Whether iptables-legacy has tables in this network namespace. */
bool probe_legacy_in_use(enum family family);

/* Whether to ask for something in the nat table makes no such table. Only to be called
 * outside of Landlock's rules, as it reads /proc. */
bool probe_has_nat(enum backend backend, enum family family);

#endif
