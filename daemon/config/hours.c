#include "daemon/config/hours.h"

#include <string.h>
#include <strings.h>

static const char days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

/* Reads a day's name and moves on; -1: it is none. */
static int take_day(const char **text)
{
    for (int i = 0; i < 7; i++)
        if (strncasecmp(*text, days[i], 3) == 0) {
            *text += 3;
            return i;
        }
    return -1;
}

static bool take_two_digits(const char **text, unsigned *number)
{
    const char *t = *text;

    if (t[0] < '0' || t[0] > '9' || t[1] < '0' || t[1] > '9')
        return false;
    *number = (unsigned)(t[0] - '0') * 10 + (unsigned)(t[1] - '0');
    *text += 2;
    return true;
}

static bool take_character(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

/* HH:MM, in minutes; up to 24:00. */
static bool take_time(const char **text, unsigned *minutes)
{
    unsigned hour, minute;

    if (!take_two_digits(text, &hour) || !take_character(text, ':') ||
        !take_two_digits(text, &minute))
        return false;
    *minutes = hour * 60 + minute;
    return minute < 60 && *minutes <= MINUTES_A_DAY;
}

/* What touches others of the day becomes one with them. */
static bool add(struct hours *hours, uint32_t *count, unsigned from, unsigned to,
                struct error *why)
{
    uint32_t kept = 0, at = 0;

    for (uint32_t i = 0; i < *count; i++) {
        const struct hours other = hours[i];

        if (other.from / MINUTES_A_DAY != from / MINUTES_A_DAY || other.from > to ||
            other.to < from) {
            hours[kept++] = other;
            continue;
        }
        from = other.from < from ? other.from : from;
        to = other.to > to ? other.to : to;
    }
    *count = kept;
    if (kept == POLICY_HOURS)
        return error_set(why, "more than %d ranges, each day's counted", POLICY_HOURS);
    while (at < kept && hours[at].from < from)
        at++;
    memmove(&hours[at + 1], &hours[at], (kept - at) * sizeof *hours);
    hours[at] = (struct hours){(uint16_t)from, (uint16_t)to};
    (*count)++;
    return true;
}

static bool add_day(struct hours *hours, uint32_t *count, int day, const unsigned times[static 2],
                    struct error *why)
{
    unsigned midnight = (unsigned)day * MINUTES_A_DAY, next = (unsigned)(day + 1) % 7;

    if (times[0] < times[1])
        return add(hours, count, midnight + times[0], midnight + times[1], why);
    return add(hours, count, midnight + times[0], midnight + MINUTES_A_DAY, why) &&
           (times[1] == 0 ||
            add(hours, count, next * MINUTES_A_DAY, next * MINUTES_A_DAY + times[1], why));
}

/* DAY or DAY-DAY. */
static bool take_days(const char **text, int range[static 2])
{
    range[0] = range[1] = take_day(text);
    if (range[0] >= 0 && take_character(text, '-'))
        range[1] = take_day(text);
    return range[0] >= 0 && range[1] >= 0;
}

/* HH:MM-HH:MM; 24:00 begins nothing. */
static bool take_times(const char **text, unsigned times[static 2])
{
    return take_time(text, &times[0]) && take_character(text, '-') && take_time(text, &times[1]) &&
           times[0] < MINUTES_A_DAY && times[0] != times[1];
}

bool hours_parse(struct hours *hours, uint32_t *count, const char *text, struct error *why)
{
    const char *at = text;
    unsigned times[2];
    int range[2];

    if (!take_days(&at, range) || !take_character(&at, ' '))
        return error_set(why, "'%.100s' is not a day and a time such as Mon-Fri 08:00-18:00 (UTC); "
                              "other days and times go on a line of their own", text);
    at += strspn(at, " ");
    if (!take_times(&at, times) || *at != '\0')
        return error_set(why, "'%.100s' does not end with a time such as 08:00-18:00 (UTC); "
                              "other days and times go on a line of their own", text);
    for (int day = range[0];; day = (day + 1) % 7) {
        if (!add_day(hours, count, day, times, why))
            return false;
        if (day == range[1])
            return true;
    }
}

void hours_print(const struct hours *hours, uint32_t count, FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        unsigned day = hours[i].from / MINUTES_A_DAY, midnight = day * MINUTES_A_DAY;
        unsigned from = hours[i].from - midnight, to = hours[i].to - midnight;

        fprintf(out, "Hours = %s %02u:%02u-%02u:%02u\n", days[day], from / 60, from % 60, to / 60,
                to % 60);
    }
}
