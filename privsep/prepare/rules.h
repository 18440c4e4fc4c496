/* Makes the texts of our part of the firewall (privsep/rules.h). */
#ifndef PORTSMITH_RULES_H
#define PORTSMITH_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"
#include "privsep/setup.h"
#include "privsep/rules.h"
#include "privsep/xtables/jump.h"

enum rules_table { RULES_MANGLE, RULES_FILTER, RULES_NAT, RULES_TABLES };

/* One bit of the packet mark says "refuse this in INPUT or FORWARD". High, as
 * the low bits are popular with routing and container tools. */
#define RULES_RESET_MARK "0x10000000/0x10000000"

/* From RULES_JUMPS on, the jumps lead to chains that versions up to 0.1.0 made and no
 * later one does: a helper that starts, and a release, remove them. Such an entry stays
 * until two more versions are out, so that whoever skips one is not left with a chain. */
enum { RULES_TO_INPUT = 3, RULES_TO_GATEWAY = 4, RULES_TO_SENDING = 5, RULES_EVER = 8 };

extern const char *const rules_tables[RULES_TABLES];
extern const struct place {
    enum rules_table table;
    const char *chain;
} rules_places[RULES_PLACES];
extern const struct jump rules_jumps[RULES_EVER];

/* Whether the jump is in that table. */
bool rules_is_in_table(const struct jump *jump, enum rules_table table);

/* What one family has. */
struct rules {
    const char *texts[RULES_TEXTS]; /* each ends with a zero */
    bool wants[RULES_EVER]; /* a jump that it does not want goes, with its chain */
    bool refuses; /* what is marked (ShutWith = reset) */
};

/* Returns the first second, since the epoch, in which nothing is shut any more, by what the clocks
 * say now; 0: there is none. */
int64_t rules_trial_second(const struct helper_setup *setup);

/* `destinations` are of both families, each once. `tells_sessions`: see probe_sessions. The
 * texts belong to *rules. The process ends if there is no memory. */
void rules_make(struct rules *rules, enum family family, const struct helper_setup *setup,
                const struct helper_destination *destinations, size_t count, bool tells_sessions);
void rules_free(struct rules *rules);

#endif
