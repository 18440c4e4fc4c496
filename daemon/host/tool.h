/* Other programs, run to their end for what they say. */
#ifndef PORTSMITH_TOOL_H
#define PORTSMITH_TOOL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct tool {
    char *said;  /* all of standard output and error, a zero behind it; to be freed */
    int status;  /* of its end; -1: a signal's */
};

/* Runs the program of that absolute path: `arguments` end with NULL and begin behind
 * the program's name, `input` is its standard input, its environment is empty. Waits
 * ten seconds, then kills it. False with the reason when it did not run to its end. */
bool tool_run(struct tool *tool, const char *path, const char *const *arguments,
              const char *input, struct error *why);

#endif
