#include "privsep/rules.h"

#include <time.h>

void rules_write_date(FILE *out, int64_t second)
{
    time_t moment = (time_t)(second < RULES_LAST_DATE ? second : RULES_LAST_DATE);
    char date[sizeof "2038-01-19T03:14:07"];
    struct tm utc;

    gmtime_r(&moment, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    fputs(date, out);
}
