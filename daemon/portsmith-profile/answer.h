/* The answer of a client that has made its own key: one line, its public key. */
#ifndef PORTSMITH_ANSWER_H
#define PORTSMITH_ANSWER_H

#include <stdbool.h>
#include <stdio.h>

#include "common/error.h"
#include "daemon/config/profile.h"

enum {
    ANSWER_SIZE = 1024, /* of a line, its end and the zero included */
    ANSWER_TRIES = 5,
};

/* Reads the line from `in` into the draft of a profile, which has no key yet: what portsmith-knock
 * pubkey prints, or the line of an ssh key. If `in` is a terminal the line is asked for, on
 * standard error. A line that is no key is told there, and the next one is read. False with the
 * reason: none of the first ANSWER_TRIES lines was a key, or there were no more. */
bool answer_read(struct profile_draft *draft, FILE *in, struct error *why);

#endif
