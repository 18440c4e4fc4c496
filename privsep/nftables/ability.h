/* What this kernel's nf_tables can do, found by trying in transactions that the kernel undoes, so
 * that nobody ever sees anything of it. */
#ifndef PORTSMITH_ABILITY_H
#define PORTSMITH_ABILITY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* What only some rules use: bits. */
enum ability_wish {
    ABILITY_TO_SHUT = 1, /* single ports, to whoever has no grant */
    ABILITY_TO_REJECT = 2,
    ABILITY_TO_SEND_ON = 4,
    ABILITY_TO_END_A_TRIAL = 8,
    ABILITY_TO_COUNT = 16,
    ABILITY_TO_TELL_SESSIONS = 32,
};

/* Tries a table of this name with these flags (NFTA_TABLE_FLAGS). 0 or an errno. `fd` is as in
 * batch.h, here and below. */
int ability_try_table(int fd, const char *name, uint32_t flags);

/* Whether a table can be made at all. False with what is missing, and what to do. */
bool ability_has_tables(int fd, struct error *why);

/* Whether the kernel has what rules are made of, always or by `wishes` (enum ability_wish). False
 * with the first that is missing, and what to do. */
bool ability_has_features(int fd, unsigned wishes, struct error *why);

#endif
