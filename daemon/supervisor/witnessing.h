/* The witness of a pair, and what it is started with. */
#ifndef PORTSMITH_WITNESSING_H
#define PORTSMITH_WITNESSING_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"
#include "daemon/supervisor/pair.h"
#include "privsep/uses.h"

/* What is made before the helper starts, so that nothing it does is missed. */
struct witnessing {
    int helper, witness; /* the ends of the socket between the two; -1: closed */
    int bell;            /* what other processes change in nftables; -1 where there are none: */
    struct error no_bell; /* the reason */
};

/* False with the reason in the log. The caller ends it in either case. */
bool witnessing_begin(struct witnessing *new);
void witnessing_end(struct witnessing *new);

/* Opens the file of uses, which is made unless it is there, with room for as many grants as there
 * can be. `is_known` says whether all connections since it was written were told of; if not, it is
 * made anew. Returns a descriptor; -1 with the reason in the log. */
int witnessing_open_uses(const struct config *config, bool is_known);

/* Starts the witness of a pair whose helper is ready, and has sealed its plan. False with the
 * reason in the log: then none runs. */
bool witnessing_start(struct witnessing *new, struct pair *pair, int plan,
                      const struct config *config, const struct pair_options *options);

#endif
