/* What portsmith-knock does besides knocking: the subcommands of
 * portsmith-knock(1). */
#ifndef PORTSMITH_SUBCOMMANDS_H
#define PORTSMITH_SUBCOMMANDS_H

#include <stdbool.h>

/* Whether `word` is the name of a subcommand, which no server can then have. */
bool subcommand_exists(const char *word);

/* The subcommand that was probably meant by `word`, which is a valid name of a server;
 * NULL if there is none. */
const char *subcommand_near(const char *word);

/* Runs the subcommand argv[1], which exists, with what is behind it; changes argv[1]. Returns
 * the exit status; says on standard error what went wrong. */
int subcommand_run(int argc, char **argv);

#endif
