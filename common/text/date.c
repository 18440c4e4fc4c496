#include <string.h>
#include <time.h>

#include "common/text/timespan.h"

enum { DAY = 86400 };

bool date_parse(int64_t *end, const char *text, struct error *why)
{
    char again[DATE_TEXT_SIZE];
    struct tm day = {0};
    const char *end_of_date = strptime(text, "%Y-%m-%d", &day);

    if (!end_of_date || *end_of_date != '\0' || strlen(text) != DATE_TEXT_SIZE - 1)
        return error_set(why, "'%s' is not a date such as 2027-01-31", text);
    *end = (int64_t)timegm(&day) + DAY;
    if (strcmp(date_format(*end, again), text) != 0)
        return error_set(why, "'%s' is not a day of the calendar", text);
    return true;
}

const char *date_format(int64_t end, char text[static DATE_TEXT_SIZE])
{
    time_t last_second = (time_t)(end - 1);
    struct tm day;

    gmtime_r(&last_second, &day);
    strftime(text, DATE_TEXT_SIZE, "%Y-%m-%d", &day);
    return text;
}
