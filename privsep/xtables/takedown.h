/* How jumps to chains of ours, and the chains, are removed again. Each function runs a restore
 * program, whose absolute path is `path`, for each step alone. What went wrong is in *why. */
#ifndef PORTSMITH_TAKEDOWN_H
#define PORTSMITH_TAKEDOWN_H

#include <stddef.h>

#include "common/error.h"
#include "privsep/xtables/jump.h"

/* Removes the jump, however often it is there. RESTORE_DONE: none is left. */
enum restore_result jump_remove(const char *path, const struct jump *jump, struct error *why);

/* Empties and removes those of the `count` chains of one table that are there, and to which no
 * jump of ours leads any more. A chain that another program's rule leads to stays, without rules:
 * then the result is RESTORE_REFUSED, with the advice in *why. */
enum restore_result chains_remove(const char *path, const char *table, const char *const *chains,
                                  size_t count, struct error *why);

#endif
