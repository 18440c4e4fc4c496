/* What portsmith-knock does besides knocking: the subcommands of portsmith-knock(1). */
#ifndef PORTSMITH_SUBCOMMANDS_H
#define PORTSMITH_SUBCOMMANDS_H

/* Runs the subcommand that argv[1] names, which must be one of subcommandnames.h, with the words
 * behind it. Changes argv[1]. Says on standard error what went wrong, and returns the exit
 * status. */
int subcommand_run(int argc, char **argv);

#endif
