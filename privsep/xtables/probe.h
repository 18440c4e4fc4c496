/* Which iptables this host has and what it can do, found by trying it. */
#ifndef PORTSMITH_PROBE_H
#define PORTSMITH_PROBE_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/xtables/xtables.h"

/* What a probe makes and removes: chains, and a set. */
#define PROBE_SCRATCH "portsmith-probe"

/* What only some configurations use: bits. */
enum probe_wish {
    PROBE_LIMITS = 1,   /* a profile has Connections */
    PROBE_SENDS_ON = 2, /* a profile sends a service on to another host */
    PROBE_SETS = 4,      /* grants are kept in sets */
    PROBE_DEADLINES = 8, /* grants are rules, with a deadline each */
    PROBE_TRIAL = 16,    /* what is shut has a deadline */
    PROBE_SESSIONS = 32, /* sessions are told from other segments: probe_sessions */
};

enum probe_result {
    PROBE_USABLE,
    PROBE_UNUSABLE,  /* something is missing */
    PROBE_MISSING,   /* the back end's programs are missing */
    PROBE_UNDECIDED, /* the xtables lock was held, or the like: try again */
};

/* Finds out which families the kernel has. */
void probe_families(struct xtables *found);

/* Chooses a back end: `wanted`, or with BACKEND_AUTO the one that `iptables` is on this host. Tries
 * every match and target that is in use, always or by `wishes` (enum probe_wish), for every
 * family in use, in a scratch chain that is removed again. Unless the result is PROBE_USABLE, *why
 * says what is missing, and what to do. With PROBE_SETS a set is made and removed as well: those
 * who try this at the same time wait for each other, a second at most. */
enum probe_result probe_xtables(struct xtables *found, enum backend wanted, unsigned wishes,
                                struct error *why);

/* Tries, as probe_xtables does, in which families rules in INPUT can tell the segments of this
 * host's sessions from others, and notes that in found->tells_sessions. False if they cannot in
 * one of the families in use. Then *why has the reason, in words that go on from "a segment of a
 * session cannot be told: ". */
bool probe_sessions(struct xtables *found, struct error *why);

/* Chooses a back end as probe_xtables does, and finds its restore programs. Tries nothing, and
 * changes nothing. False with the reason, and what to do, in *why. */
bool probe_choose(struct xtables *found, enum backend wanted, struct error *why);

/* Returns the path of a back end's restore program, or NULL when it is not installed. */
const char *probe_program(enum backend backend, enum family family);

/* Returns the same, or NULL also where the back end is not in use: iptables-nft on a kernel without
 * nf_tables, iptables-legacy where it has no tables yet, as even a question would make them. */
const char *probe_program_in_use(enum backend backend, enum family family);

/* Whether iptables-legacy has tables in this network namespace. */
bool probe_legacy_in_use(enum family family);

/* Whether the nat table is there, or a question about it makes none, as with iptables-nft. Only to
 * be called before Landlock's rules are in force, as it reads /proc. */
bool probe_has_nat(enum backend backend, enum family family);

#endif
