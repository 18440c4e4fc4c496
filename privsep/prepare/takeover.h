/* The table of grants at a start: a new file, with what the helper before granted. */
#ifndef PORTSMITH_TAKEOVER_H
#define PORTSMITH_TAKEOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "privsep/helper/grants.h"
#include "privsep/prepare/receive.h"

/* Makes a file for `capacity` grants in the directory `run_dir`, and has it take the place of
 * the file that is there, whose grants it takes over: those of this boot that could have been
 * granted. Those that have ended by `now` (CLOCK_BOOTTIME, nanoseconds), with no helper to tell of
 * it, are among them if there is room: helper_grants_expire takes them out. False with the reason:
 * the file that was there stays, and the table is empty and has room for no grant. */
bool helper_grants_create(struct grants *grants, int run_dir, size_t capacity, int64_t now,
                          struct error *why);

/* Closes the file, which stays for the next helper. */
void helper_grants_free(struct grants *grants);

/* Keeps of the grants that were taken over those that policy still permits, for no longer than it
 * permits. The other grants lie behind those in the table then. */
void helper_grants_keep_permitted(struct grants *grants, const struct policy *policy);

#endif
