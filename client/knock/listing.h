/* What this user's files say, for people and for programs: `portsmith-knock list` and `show`. No
 * secret is ever printed. */
#ifndef PORTSMITH_LISTING_H
#define PORTSMITH_LISTING_H

#include <stdbool.h>

/* Prints all known servers on standard output, with `json` in the form that portsmith-servers(5)
 * describes. A server whose files cannot be used is listed with the reason. Says on standard error
 * what went wrong, and returns the exit status. */
int listing_all(bool json);

/* As listing_all, for the one server called `name`. That its file cannot be used is an error. */
int listing_one(const char *name, bool json);

#endif
