/* In the place of common/clock.c: a wall clock that a test sets, for all processes
 * that map the same file at once. The file holds nanoseconds, one int64_t, by which
 * the wall clock is off the kernel's; the file's name is in TEST_CLOCK, or is
 * /run/lab/clock. Without the file the clock is right. Boot time is the kernel's. */
#include "common/clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 50, KEPT_FD = 900 };

static const volatile int64_t *offset;
static int64_t offset_seen;

/* Before anything is confined: later nothing but a look at the memory is needed. What is forked
 * shares the mapping. What is executed when files can no longer be opened, as portsmith-helper
 * is, inherits the descriptor. */
__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("TEST_CLOCK");
    int fd = open(path ? path : "/run/lab/clock", O_RDONLY | O_CLOEXEC);
    void *map;

    if (fd >= 0 && dup2(fd, KEPT_FD) != KEPT_FD)
        abort();
    if (fd >= 0)
        close(fd);
    map = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, KEPT_FD, 0);
    if (map == MAP_FAILED)
        return;
    offset = map;
    offset_seen = *offset;
}

static int close_some(unsigned first, unsigned last, int flags)
{
    return first > last ? 0 : (int)syscall(SYS_close_range, first, last, flags);
}

int close_range(unsigned first, unsigned last, int flags); /* musl declares none */

/* In the place of libc's: all but that descriptor. */
int close_range(unsigned first, unsigned last, int flags)
{
    if (first > KEPT_FD || last < KEPT_FD)
        return close_some(first, last, flags);
    return close_some(first, KEPT_FD - 1, flags) == 0 ? close_some(KEPT_FD + 1, last, flags) : -1;
}

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
    return now(CLOCK_REALTIME) + (offset ? *offset : 0);
}

uint64_t clock_wall_us(void)
{
    int64_t ns = clock_wall_ns();

    return ns < 0 ? 0 : (uint64_t)ns / (NSEC_PER_SEC / USEC_PER_SEC);
}

/* Nobody tells that the file was written: this looks again and again. */
int clock_watch(void)
{
    const struct timespec often = {.tv_nsec = (long)LOOK_MS * NSEC_PER_MSEC};
    const struct itimerspec spec = {.it_value = often, .it_interval = often};
    int watch = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    if (watch < 0 || timerfd_settime(watch, 0, &spec, NULL) == 0)
        return watch;
    close(watch);
    return -1;
}

bool clock_was_set(int watch)
{
    int64_t before = offset_seen;
    uint64_t expirations;

    if (read(watch, &expirations, sizeof expirations) < 0 || !offset)
        return false;
    offset_seen = *offset;
    return offset_seen != before;
}
