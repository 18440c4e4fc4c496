#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"

/* Arms a timer that never ends, but is cancelled when the wall clock is set. If that has just
 * happened, arming fails with ECANCELED, and the timer is armed all the same. */
static bool arm(int watch)
{
    const struct itimerspec never = {.it_value.tv_sec = INT64_MAX / NSEC_PER_SEC};

    return timerfd_settime(watch, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) == 0 ||
           errno == ECANCELED;
}

int clock_watch(void)
{
    int watch = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

    if (watch < 0 || arm(watch))
        return watch;
    close(watch);
    return -1;
}

bool clock_was_set(int watch)
{
    uint64_t expirations;

    if (read(watch, &expirations, sizeof expirations) >= 0 || errno != ECANCELED)
        return false;
    arm(watch); /* it was armed before, so this cannot fail */
    return true;
}
