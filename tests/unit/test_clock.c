#include "check.h"

#include <poll.h>
#include <stdbool.h>

#include "common/clock.h"

/* The drills set the wall clock, which no test may do to its machine. */
static void a_clock_that_nobody_sets_is_silent(void **state)
{
    struct pollfd watch = {.fd = clock_watch(), .events = POLLIN};

    (void)state;
    assert_true(watch.fd >= 0);
    assert_int_equal(poll(&watch, 1, 0), 0);
    assert_false(clock_was_set(watch.fd));
    close(watch.fd);
}

static void the_wall_clock_is_the_same_in_all_units(void **state)
{
    const int64_t before = clock_wall_ns();
    const uint64_t us = clock_wall_us();
    const int64_t after = clock_wall_ns();

    (void)state;
    assert_in_range(us, before / 1000, after / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_nobody_sets_is_silent),
        cmocka_unit_test(the_wall_clock_is_the_same_in_all_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
