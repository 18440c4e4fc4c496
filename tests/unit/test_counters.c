#include "check.h"

#include <unistd.h>

#include "common/log.h"
#include "daemon/sniffer/counters.h"

static struct own_addresses own;

static bool is_own(const char *text)
{
    struct address to;

    assert_true(address_parse(&to, text));
    return counters_is_own(&own, &to);
}

static void set_own(const char *first, const char *second)
{
    assert_true(address_parse(&own.all[0], first));
    assert_true(address_parse(&own.all[1], second));
    own.count = 2;
}

static void what_is_for_this_host_or_for_many_is_own(void **state)
{
    static const char *const those[] = {"192.0.2.1", "2001:db8::1", "255.255.255.255", "224.0.0.1",
                                        "239.1.2.3", "ff02::1"};
    static const char *const others[] = {"192.0.2.2", "2001:db8::2", "2001:db8::ffff:ffff",
                                         "223.255.255.255", "240.0.0.1"};

    (void)state;
    set_own("192.0.2.1", "2001:db8::1");
    for (size_t i = 0; i < COUNT_OF(those); i++)
        if (!is_own(those[i]))
            fail_msg("%s is another's", those[i]);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (is_own(others[i]))
            fail_msg("%s is own", others[i]);
}

static void what_is_not_known_is_own(void **state)
{
    (void)state;
    set_own("192.0.2.1", "2001:db8::1");
    own.count = 0;
    assert_true(is_own("192.0.2.2"));
    own.count = COUNT_OF(own.all);
    assert_true(is_own("192.0.2.2"));
    own.count = UINT32_MAX;
    assert_true(is_own("192.0.2.2"));
}

static void this_host_s_are_found(void **state)
{
    (void)state;
    counters_find_own(&own);
    assert_true(is_own("127.0.0.1"));
    assert_false(is_own("192.0.2.77"));
}

static void each_count_is_logged(void **state)
{
    const struct counters counters = {.captured = 31, .garbage = 32, .dropped = 33};
    char text[1024] = "";
    int ends[2], before = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(before >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    log_open("test", true, false);
    counters_log(&counters);
    dup2(before, STDERR_FILENO);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "seen 31: garbage 32, authentic 0 (merged 0"));
    assert_non_null(strstr(text, "dropped by the kernel 33\n"));
    close(before);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_for_this_host_or_for_many_is_own),
        cmocka_unit_test(what_is_not_known_is_own),
        cmocka_unit_test(this_host_s_are_found),
        cmocka_unit_test(each_count_is_logged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
