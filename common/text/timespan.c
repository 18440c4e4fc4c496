#include "common/text/timespan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    char unit;
    uint32_t seconds;
} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

enum { UNITS = sizeof units / sizeof *units, DAY = 86400 };

static uint32_t unit_seconds(const char *suffix)
{
    if (*suffix == '\0')
        return 1;
    for (size_t i = 0; i < UNITS; i++)
        if (suffix[0] == units[i].unit && suffix[1] == '\0')
            return units[i].seconds;
    return 0;
}

bool timespan_parse(uint32_t *seconds, const char *text, struct error *why)
{
    size_t digits = strspn(text, "0123456789");
    uint32_t unit = unit_seconds(text + digits);
    unsigned long value;

    if (digits == 0 || digits > 6 || unit == 0)
        return error_set(why, "'%s' is not a time span such as 30s, 10m or 2h", text);
    value = strtoul(text, NULL, 10) * unit;
    if (value == 0 || value > TIMESPAN_MAX)
        return error_set(why, "'%s' is out of range: 1s to %dd", text, TIMESPAN_MAX / DAY);
    *seconds = (uint32_t)value;
    return true;
}

const char *timespan_format(uint32_t seconds, char text[static TIMESPAN_TEXT_SIZE])
{
    size_t i = 0;

    while (i < UNITS - 1 && (seconds == 0 || seconds % units[i].seconds != 0))
        i++;
    snprintf(text, TIMESPAN_TEXT_SIZE, "%u%c", seconds / units[i].seconds, units[i].unit);
    return text;
}
