/* The names of portsmith-knock's subcommands, which no server can then have. */
#ifndef PORTSMITH_SUBCOMMANDNAMES_H
#define PORTSMITH_SUBCOMMANDNAMES_H

#include <stdbool.h>

enum subcommand {
    SUBCOMMAND_EXPORT,
    SUBCOMMAND_IMPORT,
    SUBCOMMAND_KEYGEN,
    SUBCOMMAND_LIST,
    SUBCOMMAND_PUBKEY,
    SUBCOMMAND_SHOW,
    SUBCOMMANDS, /* their number, and what is none of them */
};

/* The subcommand that is called `word`, or SUBCOMMANDS if none is. */
enum subcommand subcommand_find(const char *word);

/* Whether `word` is the name of a subcommand. */
bool subcommand_exists(const char *word);

/* The name of the subcommand that was probably meant by `word`, which is a valid name of a
 * server. NULL if no name is near. */
const char *subcommand_near(const char *word);

#endif
