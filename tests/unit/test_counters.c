#include "check.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_for_this_host_or_for_many_is_own),
        cmocka_unit_test(what_is_not_known_is_own),
        cmocka_unit_test(this_host_s_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
