#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/witness/trace.h"

/* What is logged of a trace, in `text`. */
static void trace(struct helper_event *event, const struct helper_times *said,
                  char text[static 512])
{
    int ends[2], standard_error = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    assert_true(standard_error >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    log_open("test", true, false);
    event->times = *said;
    event->together = 2;
    trace_log(event, "home");
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    n = read(ends[0], text, 511);
    close(ends[0]);
    text[n > 0 ? n : 0] = '\0';
}

static void tells_each_part(void **state)
{
    struct helper_event t = {.trace = {600000, 1000000, 1500000, 2100000, 2800000}};
    const struct helper_times said = {.captured = 1000, .taken = 101000, .opened = 301000};
    char text[512];

    (void)state;
    trace(&t, &said, text);
    assert_non_null(strstr(text, "home: trace: capture 100, envelope 200, hand-over 299, "
                                 "signature 400, mark 500, policy 600, firewall 700; 2799 us from "
                                 "the wire to the rule, 2 at once\n"));
}

static void tells_nothing_that_cannot_be(void **state)
{
    const int64_t now = (int64_t)1 << 60;
    struct helper_event t = {.trace = {now, now, now, now, now}};
    const struct helper_times said[] = {
        {INT64_MIN, INT64_MAX, INT64_MIN}, {INT64_MAX, INT64_MIN, INT64_MAX}, {0, 0, 0},
        {1, -1, 1}, {now + 3, now + 2, now + 1}, {1, 2, 3},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        trace(&t, &said[i], text);
        assert_non_null(strstr(text, "hand-over -, signature 0, mark 0, policy 0, firewall 0; - us"));
    }
}

static void is_silent_when_off(void **state)
{
    const struct helper_times said = {1, 2, 3};
    struct helper_event t = {0};
    char text[512];

    (void)state;
    trace(&t, &said, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_each_part),
        cmocka_unit_test(tells_nothing_that_cannot_be),
        cmocka_unit_test(is_silent_when_off),
    };

    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
