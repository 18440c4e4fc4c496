/* Windows, limits and dates as people write them. */
#ifndef PORTSMITH_TIMESPAN_H
#define PORTSMITH_TIMESPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

enum {
    TIMESPAN_MAX = 7 * 86400, /* seconds; a longer "window" is an open port */
    TIMESPAN_TEXT_SIZE = 12,
    DATE_TEXT_SIZE = 11,
};

/* "30", "30s", "10m", "2h", "1d": 1 to TIMESPAN_MAX seconds. */
bool timespan_parse(uint32_t *seconds, const char *text, struct error *why);

/* In the largest unit that divides it: 90 is "90s", 600 is "10m". */
const char *timespan_format(uint32_t seconds, char text[static TIMESPAN_TEXT_SIZE]);

/* "2027-01-31": *end becomes the first second after that day, UTC, counted
 * from the epoch. Days that no calendar has are refused. */
bool date_parse(int64_t *end, const char *text, struct error *why);
const char *date_format(int64_t end, char text[static DATE_TEXT_SIZE]);

#endif
