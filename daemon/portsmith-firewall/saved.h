/* Where portsmith-firewall(8) keeps what it was told. What was confirmed is in the state
 * directory, for the next boot; what is on trial is in the run directory. The files hold settings
 * and no rules: these are made anew from them. */
#ifndef PORTSMITH_SAVED_H
#define PORTSMITH_SAVED_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/portsmith-firewall/ruleset.h"

/* Takes the lock that whoever reads and changes the files must hold, and waits for it. The run
 * directory is made if it is missing. Returns a descriptor (close-on-exec); closing it, or the end
 * of the process, gives the lock back. -1 with the reason in *why. */
int saved_lock(const struct config *c, struct error *why);

/* Reads both files. A trial is read whether or not its time has passed. False with the reason,
 * which names file and line, if a file is there that cannot be used. */
bool saved_read(struct plan *plan, const struct config *c, struct error *why);

/* Writes the files of what *plan has, and removes those of what it has not. What was confirmed
 * outlives a power cut. False with the reason; each file then is the old or the new one. */
bool saved_write(const struct plan *plan, const struct config *c, struct error *why);

#endif
