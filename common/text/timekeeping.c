#include "common/text/timekeeping.h"

#include <sys/timex.h>

bool timekeeping_is_synchronised(void)
{
    struct timex state = {.modes = 0}; /* no mode: nothing is changed */

    return adjtimex(&state) != TIME_ERROR && !(state.status & STA_UNSYNC);
}
