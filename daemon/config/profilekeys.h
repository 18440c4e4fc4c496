/* The keys of a profile's file: how each is read and printed, and the option of
 * portsmith-profile that says the same. */
#ifndef PORTSMITH_PROFILEKEYS_H
#define PORTSMITH_PROFILEKEYS_H

#include "common/text/settings.h"
#include "daemon/config/profile.h"

struct profile_key {
    struct setting setting; /* into a struct profile_draft */
    void (*print)(const struct profile *p, FILE *out); /* prints the key's lines; none where it
                                                          has its default. NULL: a secret */
    const char *option; /* without its dashes */
    const char *value;  /* what --help calls its value. NULL: it takes none */
    const char *help;   /* NULL: the usage line names it already */
};

/* All keys, in the order in which they are printed. The last one's option is NULL. */
extern const struct profile_key profile_keys[];

/* Of which a row of zeros is the last. */
extern const struct old_word profile_old_words[];

#endif
