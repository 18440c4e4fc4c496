/* Jumps from the kernel's own chains to chains of ours, and how both are removed again:
 * each by a program that is run for it alone, as one that runs on ends at the first
 * refusal. */
#ifndef PORTSMITH_JUMP_H
#define PORTSMITH_JUMP_H

#include <stddef.h>

#include "common/error.h"
#include "privsep/xtables/restore.h"

struct jump {
    const char *table, *from, *to;
};

/* Asks whether the jump is there, or removes it once. `action` is "-C" or "-D"; `path` is
 * that of a restore program. RESTORE_REFUSED: it is not there. */
enum restore_result jump_run(const char *path, const char *action, const struct jump *jump,
                             struct error *why);

/* Removes the jump, however often it is there. RESTORE_DONE: none is left. Otherwise *why
 * says what is the matter. */
enum restore_result jump_remove(const char *path, const struct jump *jump, struct error *why);

/* Empties and removes chains of one table, to which no jump leads any more; what is not
 * there needs nothing. A chain that another program's rule leads to stays, without rules:
 * then the result is RESTORE_REFUSED, with the advice in *why. */
enum restore_result chains_remove(const char *path, const char *table, const char *const *chains,
                                  size_t count, struct error *why);

#endif
