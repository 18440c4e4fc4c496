/* How much the log is told of refusals, and of what each profile opens and closes: a client
 * that knocks as fast as it can does not fill it, and hides no other. */
#ifndef PORTSMITH_LINES_H
#define PORTSMITH_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/limit.h"
#include "privsep/helper/policy.h"
#include "privsep/message.h"

enum {
    REFUSALS_LOGGED = 20,  /* of each kind, ... */
    REFUSALS_PERIOD = 10,  /* ... in so many seconds */
    SUCCESSES_LOGGED = 60, /* of each profile, ... */
    SUCCESSES_PERIOD = 60, /* ... in so many seconds */
};

/* Zeroed at first. What was told of a profile's successes is with the profile. */
struct lines {
    struct log_limit refusals[VERDICTS];
    int64_t sum_at; /* no profile is summed up before; 0: none of them left a line out */
};

/* Whether one more line may be written at `now` (CLOCK_BOOTTIME, nanoseconds). One that may
 * not is counted. */
bool helper_lines_admit_refusal(struct lines *lines, enum verdict verdict, int64_t now);
bool helper_lines_admit_success(struct lines *lines, struct policy_entry *of, int64_t now);

/* Logs how many were left out in the periods that are over at `now`; INT64_MAX: in all. */
void helper_lines_sum_up(struct lines *lines, const struct policy *policy, int64_t now);

/* When there will be something to sum up next; 0: nothing was left out. */
int64_t helper_lines_next(const struct lines *lines);

#endif
