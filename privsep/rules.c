#include "privsep/rules.h"

#include <time.h>

const char *const rules_tables[RULES_TABLES] = {"mangle", "filter", "nat"};

const struct place rules_places[RULES_PLACES] = {
    [PLACE_SHUT] = {RULES_MANGLE, "portsmith-shut"},
    [PLACE_OPEN] = {RULES_FILTER, "portsmith-open"},
    [PLACE_GATEWAY] = {RULES_FILTER, "portsmith-through"},
    [PLACE_SENDING] = {RULES_NAT, "portsmith"},
};

const struct jump rules_jumps[RULES_JUMPS] = {
    {"mangle", "PREROUTING", "portsmith"},
    {"mangle", "INPUT", "portsmith-input"},
    {"mangle", "FORWARD", "portsmith-translated"},
    [RULES_TO_INPUT] = {"filter", "INPUT", "portsmith"},
    [RULES_TO_GATEWAY] = {"filter", "FORWARD", "portsmith-gateway"},
    [RULES_TO_SENDING] = {"nat", "PREROUTING", "portsmith"},
    [RULES_EARLIER] = {"filter", "INPUT", "portsmith-reset"},
    {"filter", "FORWARD", "portsmith-forward"},
};

void rules_write_date(FILE *out, const char *bound, int64_t second)
{
    time_t moment = (time_t)(second < RULES_LAST_DATE ? second : RULES_LAST_DATE);
    char date[sizeof "2038-01-19T03:14:07"];
    struct tm utc;

    gmtime_r(&moment, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(out, " -m time %s %s", bound, date);
}
