#include "check.h"

#include <arpa/inet.h>

#include "common/address.h"

static struct address parsed(const char *text)
{
    struct address a;

    if (!address_parse(&a, text))
        fail_msg("'%s' was not taken for an address", text);
    return a;
}

static struct prefix parsed_prefix(const char *text)
{
    struct prefix p;
    struct error why;

    if (!prefix_parse(&p, text, &why))
        fail_msg("'%s' was not taken for a prefix: %s", text, why.text);
    return p;
}

static void texts_come_back_in_canonical_form(void **state)
{
    static const char *const texts[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"0.0.0.0", "0.0.0.0"},
        {"::", "::"},
        {"2001:DB8:0::1", "2001:db8::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:c000:201", "192.0.2.1"},
        {"::fffe:1:2", "::fffe:1:2"},
        {"2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:6666"},
    };
    char text[ADDRESS_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct address a = parsed(texts[i][0]);

        assert_string_equal(address_format(&a, text), texts[i][1]);
    }
}

static void other_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "",         " ",          "192.0.2",         "192.0.2.1.1",   "192.0.2.256", "010.0.0.1",
        "10.1",     "0x0a.0.0.1", "192.0.2.1 ",      " 192.0.2.1",    "localhost",   "fe80::1%lo",
        "::1::",    "1:2:3",      "192.0.2.1/32",    "[::1]",         "::ffff:1.2.3",
    };
    struct address a;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (address_parse(&a, texts[i]))
            fail_msg("'%s' was taken for an address", texts[i]);
}

static void ipv4_is_the_mapped_form(void **state)
{
    static const uint8_t v4[4] = {192, 0, 2, 1};
    static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    struct address a = address_from_ipv4(v4), b = parsed("192.0.2.1"), c = parsed("::192.0.2.1");

    (void)state;
    assert_memory_equal(a.bytes, mapped, sizeof mapped);
    assert_true(address_equal(&a, &b));
    assert_true(address_is_ipv4(&a));
    assert_false(address_is_ipv4(&c));
    assert_false(address_equal(&a, &c));
}

static void sockaddrs_convert(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct address a, v4 = parsed("192.0.2.7"), v6 = parsed("2001:db8::7");

    (void)state;
    assert_int_equal(inet_pton(AF_INET, "192.0.2.7", &in.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &in6.sin6_addr), 1);
    assert_true(address_from_sockaddr(&a, (struct sockaddr *)&in));
    assert_true(address_equal(&a, &v4));
    assert_true(address_from_sockaddr(&a, (struct sockaddr *)&in6));
    assert_true(address_equal(&a, &v6));
    assert_false(address_from_sockaddr(&a, &other));
}

static void a_scope_is_left_out(void **state)
{
    static const char *const never[] = {"192.0.2.1%eth0", "%eth0", "home%eth0", "",
                                        "2001:db8:0000:0000:0000:0000:0000:0000:0000:0001%eth0"};
    struct address a, expected = parsed("fe80::1");

    (void)state;
    assert_true(address_parse_scoped(&a, "fe80::1%eth0"));
    assert_true(address_equal(&a, &expected));
    assert_true(address_parse_scoped(&a, "fe80::1"));
    assert_true(address_equal(&a, &expected));
    expected = parsed("192.0.2.1");
    assert_true(address_parse_scoped(&a, "192.0.2.1"));
    assert_true(address_equal(&a, &expected));
    for (size_t i = 0; i < COUNT_OF(never); i++)
        assert_false(address_parse_scoped(&a, never[i]));
}

/* What another host can have is more: a link-local address is refused by name. */
static void other_hosts_can_have_link_local_addresses(void **state)
{
    struct address local = parsed("fe80::1"), loopback = parsed("::1"), four = parsed("127.0.0.1"),
                   group = parsed("ff02::1"), mapped = parsed("254.128.0.1");

    (void)state;
    assert_true(address_is_foreign(&local) && address_is_unicast(&local));
    assert_true(address_is_link_local(&local));
    assert_false(address_is_link_local(&mapped));
    assert_true(address_is_unicast(&loopback) && address_is_unicast(&four));
    assert_false(address_is_foreign(&loopback) || address_is_foreign(&four));
    assert_false(address_is_unicast(&group) || address_is_foreign(&group));
}

static void no_door_opens_to_special_addresses(void **state)
{
    static const char *const never[] = {
        "0.0.0.0",    "0.1.2.3",         "127.0.0.1",       "127.255.255.254", "224.0.0.1",
        "239.1.1.1",  "255.255.255.255", "::",              "::1",             "ff02::1",
        "ff0e::1234", "ff00::",          "239.255.255.255", "fe80::",          "fe80::1",
        "febf:ffff::1",
    };
    static const char *const may[] = {
        "1.0.0.1",     "10.0.0.1",  "192.168.1.1", "126.255.255.255", "128.0.0.1",
        "223.255.255.255", "240.0.0.1", "255.255.255.254", "::2", "fe7f::1", "fd00::1",
        "fec0::1",     "feff::1",   "2001:db8::1",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(never); i++) {
        struct address a = parsed(never[i]);

        if (address_is_grantable(&a))
            fail_msg("%s must not be grantable", never[i]);
    }
    for (size_t i = 0; i < COUNT_OF(may); i++) {
        struct address a = parsed(may[i]);

        if (!address_is_grantable(&a))
            fail_msg("%s must be grantable", may[i]);
    }
}

static void global_means_routed_everywhere(void **state)
{
    static const char *const global[] = {
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
        "172.32.0.0", "192.0.1.0", "192.167.255.255", "198.17.255.255", "198.20.0.0",
        "223.255.255.255", "2001:4860::8888", "2a00::1", "3fff:ffff::1",
    };
    static const char *const local[] = {
        "10.0.0.1",     "100.64.0.1",  "100.127.255.255", "169.254.1.1",    "172.16.0.1",
        "172.31.255.1", "192.0.0.1",   "192.0.2.1",       "192.88.99.1",    "192.168.255.255",
        "198.18.0.1",   "198.19.0.1",  "198.51.100.1",    "203.0.113.1",    "240.0.0.1",
        "127.0.0.1",    "0.0.0.1",     "fe80::1",         "fd00::1",        "2001:db8::1",
        "::1",          "ff02::1",     "64:ff9b::1",      "4000::1",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(global); i++) {
        struct address a = parsed(global[i]);

        if (!address_is_global(&a))
            fail_msg("%s is global", global[i]);
    }
    for (size_t i = 0; i < COUNT_OF(local); i++) {
        struct address a = parsed(local[i]);

        if (address_is_global(&a))
            fail_msg("%s is not global", local[i]);
    }
}

static void prefixes_come_back_in_canonical_form(void **state)
{
    static const char *const texts[][2] = {
        {"192.0.2.0/24", "192.0.2.0/24"},     {"192.0.2.1", "192.0.2.1/32"},
        {"0.0.0.0/0", "0.0.0.0/0"},           {"128.0.0.0/1", "128.0.0.0/1"},
        {"2001:db8::/32", "2001:db8::/32"},   {"::/0", "::/0"},
        {"2001:db8::1", "2001:db8::1/128"},   {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
        {"::ffff:0:0/96", "0.0.0.0/0"},
    };
    char text[PREFIX_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct prefix p = parsed_prefix(texts[i][0]);

        assert_string_equal(prefix_format(&p, text), texts[i][1]);
    }
}

static void other_prefixes_are_refused(void **state)
{
    static const char *const texts[] = {
        "",           "/",           "/24",          "192.0.2.0/",     "192.0.2.0/33",
        "192.0.2.0/-1", "192.0.2.0/024", "192.0.2.0/24 ", "192.0.2.1/24", "192.0.2.0/2x",
        "::/129",     "2001:db8::1/64", "192.0.2.0//24", "localhost/8",  "192.0.2.0/4294967297",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/12", "128.0.0.0/0",
    };
    struct error why;
    struct prefix p;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        why.text[0] = '\0';
        if (prefix_parse(&p, texts[i], &why))
            fail_msg("'%s' was taken for a prefix", texts[i]);
        assert_true(why.text[0] != '\0');
    }
}

/* The plain definition, bit by bit, against the implementation. */
static bool contains_by_bits(const struct prefix *p, const struct address *a)
{
    for (unsigned bit = 0; bit < p->length; bit++)
        if (((p->address.bytes[bit / 8] ^ a->bytes[bit / 8]) >> (7 - bit % 8)) & 1)
            return false;
    return true;
}

static void prefixes_contain_what_their_bits_say(void **state)
{
    struct address base = parsed("2001:db8:a5a5:5a5a:c3c3:3c3c:f00f:0ff0");
    struct prefix p = {.address = base};

    (void)state;
    for (unsigned length = 0; length <= 128; length++) {
        p.length = (uint8_t)length;
        for (unsigned bit = 0; bit < 128; bit++) {
            struct address a = base;

            a.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
            assert_int_equal(prefix_contains(&p, &a), contains_by_bits(&p, &a));
            assert_int_equal(prefix_contains(&p, &a), bit >= length);
        }
        assert_true(prefix_contains(&p, &base));
    }
}

static void families_do_not_contain_one_another(void **state)
{
    struct address v4 = parsed("192.0.2.1"), v6 = parsed("2001:db8::1");
    struct prefix all4 = parsed_prefix("0.0.0.0/0"), all6 = parsed_prefix("::/0");

    (void)state;
    assert_true(prefix_contains(&all4, &v4));
    assert_true(prefix_contains(&all6, &v6));
    assert_false(prefix_contains(&all4, &v6));
    assert_false(prefix_contains(&all6, &v4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back_in_canonical_form),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(ipv4_is_the_mapped_form),
        cmocka_unit_test(sockaddrs_convert),
        cmocka_unit_test(a_scope_is_left_out),
        cmocka_unit_test(other_hosts_can_have_link_local_addresses),
        cmocka_unit_test(no_door_opens_to_special_addresses),
        cmocka_unit_test(global_means_routed_everywhere),
        cmocka_unit_test(prefixes_come_back_in_canonical_form),
        cmocka_unit_test(other_prefixes_are_refused),
        cmocka_unit_test(prefixes_contain_what_their_bits_say),
        cmocka_unit_test(families_do_not_contain_one_another),
    };

    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
