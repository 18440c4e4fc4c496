/* What policy lets a knock have, and what changes in the table of grants for that. Deciding
 * changes nothing and asks nobody: whoever is given a decision carries it out before the next
 * knock is decided. */
#ifndef PORTSMITH_DECIDE_H
#define PORTSMITH_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/request.h"
#include "privsep/helper/grants.h"
#include "privsep/helper/policy.h"

/* A knock whose signature is verified. */
struct knock {
    const struct helper_profile *profile; /* of whoever signed it */
    const uint8_t *key_id;
    const struct request *request;
    const struct address *observed; /* where it came from */
    bool is_newest;   /* the client has spent no higher counter */
    bool is_credible; /* the counter is no later than now, or MaxSkew is on: else no knock that
                         the client makes could close what this one opens */
};

struct moment {
    int64_t wall; /* seconds since the epoch */
    int64_t boot; /* CLOCK_BOOTTIME, nanoseconds */
};

struct decision {
    enum verdict verdict;   /* OPENED or EXTENDED: each service is given a grant, or its grant is
                               extended. CLOSED: those that there are are removed. Else nothing
                               changes */
    struct address address; /* whom the knock is for */
    struct service services[POLICY_SERVICES]; /* that the verdict is about */
    const struct grant *grants[POLICY_SERVICES]; /* theirs, in the table; NULL: there is none */
    size_t service_count;
    bool moves;        /* before that, all grants that the profile has are removed */
    bool leaves_other; /* some of these are of the other address family */
    /* Of the grants that are added or extended: */
    int64_t deadline;  /* CLOCK_BOOTTIME, nanoseconds */
    uint64_t counter;  /* the knock's counter; 0 if that is not credible */
    enum grant_signing signing; /* GRANT_OBSERVED leaves a grant's signing as it is */
    bool is_cut;       /* the client wanted a longer window */
};

/* Begins a decision, with the verdict VERDICT_NONE, with what a knock asks for: an address, and
 * services. A knock that names no service asks for all of the profile's. */
void helper_decide_begin(struct decision *decision, const struct knock *knock);

/* Decides what helper_decide_begin began, for a knock that was found new and fresh. `grants` is
 * not changed, and must not change before the decision is carried out. */
void helper_decide(struct decision *decision, const struct knock *knock,
                   const struct grants *grants, const struct moment *now);

#endif
