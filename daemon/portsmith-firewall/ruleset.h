/* The rules of portsmith-firewall(8), as iptables-restore(8) reads them. They stand
 * in chains of their own in the filter table, reached by one jump, the last of INPUT:
 *
 *   INPUT -> portsmith-firewall -> portsmith-trial   until the trial's deadline
 *                                  then what was confirmed, if anything was
 *
 * What other programs have in INPUT is asked first. The deadline stands on the way
 * into the trial, so that the kernel ends all of it at once, whoever still lives. */
#ifndef PORTSMITH_RULESET_H
#define PORTSMITH_RULESET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"
#include "privsep/message.h"
#include "privsep/xtables/jump.h"

enum { RULESET_CHAINS = 2 };

extern const struct jump ruleset_jump;
extern const char *const ruleset_chains[RULESET_CHAINS];

struct ruleset {
    struct service allow[CLOSE_SERVICES]; /* ascending; all else is closed */
    uint8_t count;
};

struct plan {
    bool is_confirmed, on_trial; /* which of the following there are */
    struct ruleset confirmed;
    struct ruleset trial;
    int64_t until; /* the first second without the trial, since the epoch */
};

/* Whether the service is one of `count`: those of a ruleset, or of Close. */
bool ruleset_names(const struct service *services, unsigned count, const struct service *s);

/* Adds services, parted by blanks or commas. False with the reason in *why. */
bool ruleset_allow(struct ruleset *rules, const char *words, struct error *why);

/* Writes what makes the firewall as planned, of whatever it was: one transaction.
 * `has_jump`: INPUT leads to the chains already. `tells_sessions`: rules can tell them, see
 * probe_sessions. */
void ruleset_write(FILE *out, const struct plan *plan, enum family family, bool has_jump,
                   bool tells_sessions);

/* Writes what iptables-restore(8) refuses unless the plan is in force. */
void ruleset_write_checks(FILE *out, const struct plan *plan);

#endif
