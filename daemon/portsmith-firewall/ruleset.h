/* The rules of portsmith-firewall(8), as iptables-restore(8) reads them. They stand in chains of
 * their own in the filter table. One jump leads to them, the last rule of INPUT:
 *
 *   INPUT -> portsmith-firewall -> portsmith-trial   until the trial's deadline
 *                                  then what was confirmed, if anything was
 *
 * The rules that other programs have in INPUT come first. The deadline stands on the way into the
 * trial, so that the kernel ends all of it at once, even where no process is left to do so. */
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
    struct service allow[SHUT_SERVICES]; /* ascending; all else is shut */
    uint8_t count;
};

struct plan {
    bool is_confirmed, on_trial;
    struct ruleset confirmed; /* if is_confirmed */
    struct ruleset trial;     /* if on_trial, as `until` */
    int64_t until; /* the first second without the trial, in seconds since the epoch */
};

/* Whether the service is one of these `count`, which are those of a ruleset or of Shut. */
bool ruleset_names(const struct service *services, unsigned count, const struct service *s);

/* Adds services, which are parted by blanks or commas in `words`. False with the reason, also
 * where there are too many. */
bool ruleset_allow(struct ruleset *rules, const char *words, struct error *why);

/* Writes one transaction that makes the firewall as planned, whatever it was before. `has_jump`:
 * INPUT leads to the chains already; `tells_sessions`: rules can tell segments of sessions
 * (probe_sessions). */
void ruleset_write(FILE *out, const struct plan *plan, enum family family, bool has_jump,
                   bool tells_sessions);

/* Writes a transaction that iptables-restore(8) refuses unless the plan is in force. */
void ruleset_write_checks(FILE *out, const struct plan *plan);

#endif
