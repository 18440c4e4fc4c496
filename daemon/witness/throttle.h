/* How many lines the log is told of refusals, of each kind, and of what each profile opens and
 * closes. A client that knocks as fast as it can does not fill the log, and hides no other. */
#ifndef PORTSMITH_WITNESS_THROTTLE_H
#define PORTSMITH_WITNESS_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/limit.h"
#include "daemon/witness/clients.h"
#include "privsep/message.h"

enum {
    REFUSALS_LOGGED = 20, /* lines about refusals of each kind, in a period */
    REFUSALS_PERIOD = 10, /* seconds */
    LINES_LOGGED = 60,    /* lines about the grants of each profile, in a period */
    LINES_PERIOD = 60,    /* seconds */
};

/* It is zeroed at first. How many lines a profile has had is kept with the client. */
struct throttle {
    struct log_limit refusals[VERDICTS];
    int64_t sum_at; /* when the next profile's period is over in which a line was left out;
                       CLOCK_BOOTTIME, nanoseconds; 0: no line was */
};

/* Whether one more line about a refusal with that verdict, or about the grants of a profile,
 * may be written at `now` (CLOCK_BOOTTIME, nanoseconds). A line that may not is counted.
 * A removed profile (NULL) may have any number. */
bool throttle_admits_refusal(struct throttle *throttle, enum verdict verdict, int64_t now);
bool throttle_admits_profile(struct throttle *throttle, struct client *of,
                                    int64_t now);

/* Logs how many lines were left out in the periods that are over at `now` (CLOCK_BOOTTIME,
 * nanoseconds); INT64_MAX: in all periods. */
void throttle_sum_up(struct throttle *throttle, const struct clients *clients, int64_t now);

/* Returns when the next period is over in which a line was left out (CLOCK_BOOTTIME,
 * nanoseconds); 0: no line was. */
int64_t throttle_next(const struct throttle *throttle);

#endif
