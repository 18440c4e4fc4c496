/* Runs other programs to their end, for what they print. */
#ifndef PORTSMITH_TOOL_H
#define PORTSMITH_TOOL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct tool {
    char *said;  /* all of its standard output and error, zero-terminated; the caller frees it */
    int status;  /* its exit status; -1: a signal ended it */
};

/* Runs the program at the absolute path `path` with `input` as its standard input and an empty
 * environment. `arguments` begin behind the program's name, end with NULL and are eight at most.
 * Waits ten seconds, then kills it. False with the reason when it did not run to its end: `said`
 * is NULL then. */
bool tool_run(struct tool *tool, const char *path, const char *const *arguments,
              const char *input, struct error *why);

#endif
