/* Time spans and dates as people write them. */
#ifndef PORTSMITH_TIMESPAN_H
#define PORTSMITH_TIMESPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

enum {
    TIMESPAN_MAX = 7 * 86400, /* seconds; a longer "window" is an open port */
    TIMESPAN_TEXT_SIZE = 12,  /* bytes, the zero included, as in the next */
    DATE_TEXT_SIZE = 11,
};

/* Reads a time span of 1 to TIMESPAN_MAX seconds, such as "30", "30s", "10m", "2h" or "1d".
 * False with the reason. */
bool timespan_parse(uint32_t *seconds, const char *text, struct error *why);

/* Writes a time span in the largest unit that divides it: 90 is "90s", 600 is "10m". Returns
 * `text`. */
const char *timespan_format(uint32_t seconds, char text[static TIMESPAN_TEXT_SIZE]);

/* ---- date.c -------------------------------------------------------------- */

/* Reads a date such as "2027-01-31", and stores the first second after that day, UTC, in
 * seconds since the epoch. A day that the calendar does not have is refused. False with the
 * reason. */
bool date_parse(int64_t *end, const char *text, struct error *why);

/* Writes the date that ends at `end`, which is as above. Returns `text`. */
const char *date_format(int64_t end, char text[static DATE_TEXT_SIZE]);

#endif
