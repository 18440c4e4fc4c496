/* Preloaded: adjtimex(2) calls the clock synchronised, or not, as TEST_CLOCK_IS says
 * ("kept", or anything else). What a kernel says of it no test can choose. */
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

int adjtimex(struct timex *state)
{
    const char *clock = getenv("TEST_CLOCK_IS");
    int kept = clock && strcmp(clock, "kept") == 0;

    memset(state, 0, sizeof *state);
    state->status = kept ? 0 : STA_UNSYNC;
    return kept ? TIME_OK : TIME_ERROR;
}
