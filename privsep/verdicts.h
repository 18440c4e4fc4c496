/* How often refusals are told. */
#ifndef PORTSMITH_VERDICTS_H
#define PORTSMITH_VERDICTS_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"

enum { REFUSALS_LOGGED = 20, REFUSALS_PERIOD = 10 /* seconds */ };

/* How many refusals of each kind were logged of late. Zeroed at first. */
struct refusals {
    struct {
        int64_t until; /* CLOCK_BOOTTIME, nanoseconds; 0: no period runs */
        uint32_t logged, left_out;
    } of[VERDICTS];
};

/* Whether one more of that verdict may be logged at `now`: REFUSALS_LOGGED in a
 * REFUSALS_PERIOD, so that a flood for one reason hides no other. Those that may not
 * are counted. */
bool helper_refusals_admit(struct refusals *refusals, enum verdict verdict, int64_t now);

/* Logs how many were left out in the periods that are over. */
void helper_refusals_sum_up(struct refusals *refusals, int64_t now);

/* When there will be something to sum up next; 0: nothing was left out. */
int64_t helper_refusals_next(const struct refusals *refusals);

#endif
