#include "common/clock.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

int64_t clock_boot_ns(void)
{
    return now(CLOCK_BOOTTIME);
}

int64_t clock_wall_ns(void)
{
    return now(CLOCK_REALTIME);
}

uint64_t clock_wall_us(void)
{
    int64_t ns = clock_wall_ns();

    return ns < 0 ? 0 : (uint64_t)ns / (NSEC_PER_SEC / USEC_PER_SEC);
}

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
