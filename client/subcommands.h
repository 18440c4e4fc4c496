/* What portsmith-knock does besides knocking: the subcommands of
 * portsmith-knock(1). */
#ifndef PORTSMITH_SUBCOMMANDS_H
#define PORTSMITH_SUBCOMMANDS_H

#include <stdbool.h>

/* Whether `word` is the name of a subcommand, which no server can then have. */
bool subcommand_exists(const char *word);

/* Runs the subcommand argv[1], which exists, with the words behind it. Returns the
 * exit status; says on standard error what went wrong. */
int subcommand_run(int argc, char **argv);

#endif
