/* The limit on how many lines of one kind the log is given in a period. Lines beyond it are
 * counted. */
#ifndef PORTSMITH_LIMIT_H
#define PORTSMITH_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum { LINES_A_MINUTE = 20 }; /* the limit where nothing speaks for another */

/* The lines of one kind. It is all zero at first. */
struct log_limit {
    int64_t until;              /* when the period ends, clock_boot_ns(); 0: there is none */
    uint32_t written, left_out; /* how many lines in the period */
};

/* Whether one more line may be written at `now`, clock_boot_ns(). There may be `most` lines in
 * a period of so many seconds, which begins with the first line. A new period forgets how many
 * lines were left out before: log_limit_take tells that, and must be called first. */
bool log_limit_admits(struct log_limit *limit, uint32_t most, uint32_t seconds, int64_t now);

/* How many lines were left out in the period, if that is over at `now`, clock_boot_ns().
 * Otherwise 0. Each line is told once. */
uint32_t log_limit_take(struct log_limit *limit, int64_t now);

#endif
