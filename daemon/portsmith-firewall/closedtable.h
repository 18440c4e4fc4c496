/* The rules of portsmith-firewall(8) as a table of nf_tables, `inet portsmith-firewall`: what
 * ruleset.h writes for iptables, without iptables.
 *
 *   input (behind the chains of others) -> trial-SECOND  until that second, the trial's deadline
 *                                       -> confirmed     what was confirmed, if anything was
 *                                          closed        whatever those do not accept is dropped
 *
 * The number of ways into a chain tells whether one is missing, so that nobody needs to read the
 * rules. */
#ifndef PORTSMITH_CLOSED_TABLE_H
#define PORTSMITH_CLOSED_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/portsmith-firewall/ruleset.h"
#include "privsep/netwriter.h"

#define CLOSED_TABLE "portsmith-firewall"
#define CLOSED_TABLE_INPUT "input"
#define CLOSED_TABLE_CONFIRMED "confirmed"
#define CLOSED_TABLE_CLOSED "closed"

/* What it depends on beside the plan. */
struct closed_table_means {
    uint32_t accept_mark; /* the bits of what portsmithd lets through; 0: none */
    bool tells_sessions;  /* as for ruleset_write */
};

enum { CLOSED_TABLE_TRIAL_SIZE = sizeof "trial-" + 20 };

/* Writes the name of the trial's chain, and returns it. */
const char *closed_table_trial(char name[static CLOSED_TABLE_TRIAL_SIZE], int64_t until);

/* Appends to a batch that has begun what makes the table as planned, whatever it was before.
 * Where nothing is planned there is none then. */
void closed_table_write(struct netwriter *w, const struct plan *plan,
                        const struct closed_table_means *means);

#endif
