/* How many lines of one kind the log is given in a while. Those beyond that are counted. */
#ifndef PORTSMITH_LIMIT_H
#define PORTSMITH_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum { LINES_A_MINUTE = 20 }; /* where nothing speaks for another number */

/* Of one kind. Zeroed at first. */
struct log_limit {
    int64_t until; /* the period ends, CLOCK_BOOTTIME nanoseconds; 0: none runs */
    uint32_t written, left_out; /* in it */
};

/* Whether one more line may be written at `now`: `most` in a period of so many seconds,
 * which begins with the first of them. What was left out before that is forgotten: take it
 * first. */
bool log_limit_admits(struct log_limit *limit, uint32_t most, uint32_t seconds, int64_t now);

/* How many lines were left out in the period, if that is over at `now`; then they are not
 * told again. */
uint32_t log_limit_take(struct log_limit *limit, int64_t now);

#endif
