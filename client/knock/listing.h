/* What this user's files say, for people and for programs: `portsmith-knock list` and
 * `show`. No secret is ever printed. */
#ifndef PORTSMITH_LISTING_H
#define PORTSMITH_LISTING_H

#include <stdbool.h>

/* Print all known servers, or the one called `name`, to standard output; with `json`
 * in the form that portsmith-knock(1) describes. A server whose files cannot be used
 * is listed with the reason. Return an exit status, and say on standard error what
 * went wrong. */
int listing_all(bool json);
int listing_one(const char *name, bool json);

#endif
