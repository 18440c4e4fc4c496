/* Where portsmith-firewall(8) keeps what it was told: what was confirmed in the state
 * directory, for the next boot, and what is on trial in the run directory. Settings,
 * no rules: those are written anew from them. */
#ifndef PORTSMITH_SAVED_H
#define PORTSMITH_SAVED_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/portsmith-firewall/ruleset.h"

/* Makes what is missing of the run directory and waits until no other process plans.
 * Returns a descriptor (close-on-exec), whose end, or the caller's, lets the next one
 * in; -1 with the reason in *why. */
int saved_lock(const struct config *c, struct error *why);

/* Reads both; a trial is told whether or not its time has passed. False if a file is
 * there that cannot be used, with file and line in *why. */
bool saved_read(struct plan *plan, const struct config *c, struct error *why);

/* Writes both as they are in *plan, what was confirmed durably, and removes what is
 * not. False with the reason; each file then is the old or the new. */
bool saved_write(const struct plan *plan, const struct config *c, struct error *why);

#endif
