/* A jump from one of the kernel's own chains to a chain of ours. */
#ifndef PORTSMITH_JUMP_H
#define PORTSMITH_JUMP_H

#include "common/error.h"
#include "privsep/xtables/restore.h"

struct jump {
    const char *table, *from, *to;
};

/* Asks whether the jump is there (`action` is "-C"), or removes it once ("-D"), with the restore
 * program whose absolute path is `path`. It is run for this alone: a program that runs on ends at
 * the first refusal. RESTORE_REFUSED: the jump is not there. What went wrong is in *why. */
enum restore_result jump_run(const char *path, const char *action, const struct jump *jump,
                             struct error *why);

#endif
