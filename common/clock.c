#include "common/clock.h"

#include <time.h>

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
