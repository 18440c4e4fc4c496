#include "check.h"

#include "daemon/config/destination.h"
#include "people.h"

static void every_destination_survives_its_text(void **state)
{
    static const char *const texts[] = {
        "192.168.1.10:22",
        "192.168.1.10:1",
        "203.0.113.255:65535",
        "[fd00::10]:22",
        "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
    };
    char text[DESTINATION_TEXT_SIZE];
    struct helper_destination d = {0};
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (!destination_parse(&d, texts[i], &why))
            fail_msg("%s", why.text);
        assert_string_equal(destination_format(&d, text), texts[i]);
    }
}

static void address_and_port_are_what_is_read(void **state)
{
    struct helper_destination d = {.service = service_of("tcp/2222")};
    const struct address expected = address_of("fd00::10");
    struct error why;

    (void)state;
    assert_true(destination_parse(&d, "[fd00::10]:65535", &why));
    assert_int_equal(d.port, 65535);
    assert_true(address_equal(&d.address, &expected));
    assert_int_equal(d.service.port, 2222); /* is the caller's */
}

static void other_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "", ":", ":22", "22", "192.168.1.10", "192.168.1.10:", "192.168.1.10:0",
        "192.168.1.10:65536", "192.168.1.10:022", "192.168.1.10:ssh", "192.168.1.10: 22",
        "192.168.1.10 :22", "192.168.1:22", "192.168.1.10/32:22", "host.example.org:22",
        "[192.168.1.10]:22", "fd00::10:22", "[fd00::10]", "[fd00::10]22", "[fd00::10:22",
        "fd00::10]:22", "[]:22", "[:22", "[[fd00::10]]:22", "[fd00::10%eth0]:22",
        "[::ffff:192.168.1.10]:22",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd]:22",
    };
    struct helper_destination d;
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        why.text[0] = '\0';
        if (destination_parse(&d, texts[i], &why))
            fail_msg("'%s' was taken for a destination", texts[i]);
        assert_true(why.text[0] != '\0');
    }
}

/* What a client may not be, a destination may not be either: the helper refuses both. */
static void addresses_of_no_host_are_refused(void **state)
{
    static const char *const texts[] = {
        "127.0.0.1:22", "0.0.0.0:22", "0.1.2.3:22", "224.0.0.1:22", "255.255.255.255:22",
        "[::1]:22",     "[::]:22",    "[ff02::1]:22", "[fe80::1]:22",
    };
    struct helper_destination d;
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (destination_parse(&d, texts[i], &why))
            fail_msg("'%s' was taken for a destination", texts[i]);
        assert_non_null(strstr(why.text, "no host can be reached at this address"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_destination_survives_its_text),
        cmocka_unit_test(address_and_port_are_what_is_read),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(addresses_of_no_host_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
