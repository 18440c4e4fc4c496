#include "check.h"

#include "daemon/portsmith-firewall/login.h"

static void the_port_is_the_last_word(void **state)
{
    uint16_t port = 0;

    (void)state;
    assert_true(login_parse_connection(&port, "192.0.2.1 50000 192.0.2.2 2222"));
    assert_int_equal(port, 2222);
    assert_true(login_parse_connection(&port, "fe80::1%eth0 50000 2001:db8::1 22"));
    assert_int_equal(port, 22);
}

static void anything_else_is_no_connection(void **state)
{
    static const char *const values[] = {
        "", " ", "192.0.2.1 50000 22", "192.0.2.1 50000 192.0.2.2", "192.0.2.1 50000 192.0.2.2 0",
        "192.0.2.1 50000 192.0.2.2 65536", "192.0.2.1 50000 192.0.2.2 22 23", "a b c d",
    };
    uint16_t port;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++)
        assert_false(login_parse_connection(&port, values[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_port_is_the_last_word),
        cmocka_unit_test(anything_else_is_no_connection),
    };

    return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}
