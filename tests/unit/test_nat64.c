#include "check.h"

#include "client/nat64.h"

static struct address parsed(const char *text)
{
    struct address a;

    assert_true(address_parse(&a, text));
    return a;
}

/* ---- RFC 6052 ----------------------------------------------------------- */

/* Section 2.4, tables 2 and 3. */
static const struct example {
    const char *text;
    unsigned length;
} examples[] = {
    {"2001:db8:c000:221::", 32},
    {"2001:db8:1c0:2:21::", 40},
    {"2001:db8:122:c000:2:2100::", 48},
    {"2001:db8:122:3c0:0:221::", 56},
    {"2001:db8:122:344:c0:2:2100::", 64},
    {"2001:db8:122:344::192.0.2.33", 96},
    {"64:ff9b::192.0.2.33", 96},
};

static void the_examples_of_the_standard_hold_their_address(void **state)
{
    struct address expected = parsed("192.0.2.33"), v4;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        struct address a = parsed(examples[i].text);

        if (!nat64_embedded(&a, examples[i].length, &v4) || !address_equal(&v4, &expected))
            fail_msg("%s", examples[i].text);
        assert_true(nat64_may_translate(&a, &expected, 1));
    }
}

static void there_are_six_lengths(void **state)
{
    struct address a = parsed("2001:db8::"), v4;
    unsigned count = 0;

    (void)state;
    for (unsigned length = 0; length <= 256; length++)
        count += nat64_embedded(&a, length, &v4);
    assert_int_equal(count, 6);
}

static void bits_64_to_71_are_zero(void **state)
{
    struct address a = parsed("2001:db8:122:344:100:0:c000:221"), v4;

    (void)state;
    assert_false(nat64_embedded(&a, 96, &v4));
    a = parsed("192.0.2.33"); /* nor is an IPv4 address one of IPv6 */
    assert_false(nat64_embedded(&a, 96, &v4));
}

static void two_prefixes_are_well_known(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } some[] = {
        {"64:ff9b::c000:221", true},    {"64:ff9b::", true}, {"64:ff9b:0:0:0:1::", false},
        {"64:ff9b:1:ffff::1", true},    {"64:ff9b:2::", false},  {"64:ff9a::c000:221", false},
        {"2001:db8::c000:221", false}, {"192.0.2.33", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(some); i++) {
        struct address a = parsed(some[i].text);

        if (nat64_is_well_known(&a) != some[i].is)
            fail_msg("%s", some[i].text);
    }
}

/* ---- RFC 7050 ----------------------------------------------------------- */

static bool translates(const char *target, const char *v4, const char *known)
{
    struct address t = parsed(target), a = parsed(v4), k = parsed(known);

    return nat64_translates(&t, &a, 1, &k, 1);
}

/* Each length, with either address of ipv4only.arpa. */
static void the_prefix_of_the_network_is_known_by_ipv4only(void **state)
{
    static const char *const only[][2] = {
        {"2001:db8:c000:aa::", "2001:db8:c000:ab::"},
        {"2001:db8:1c0:0:aa::", "2001:db8:1c0:0:ab::"},
        {"2001:db8:122:c000:0:aa00::", "2001:db8:122:c000:0:ab00::"},
        {"2001:db8:122:3c0:0:aa::", "2001:db8:122:3c0:0:ab::"},
        {"2001:db8:122:344:c0:0:aa00::", "2001:db8:122:344:c0:0:ab00::"},
        {"2001:db8:122:344::192.0.0.170", "2001:db8:122:344::192.0.0.171"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(only); i++)
        for (size_t j = 0; j < 2; j++) {
            if (!translates(examples[i].text, "192.0.2.33", only[i][j]))
                fail_msg("%s with %s", examples[i].text, only[i][j]);
            assert_false(translates(examples[i].text, "192.0.2.34", only[i][j]));
            assert_false(translates(examples[i].text, "192.0.2.33",
                                    only[(i + 1) % COUNT_OF(only)][j]));
        }
}

/* What a resolver makes up is no prefix unless the name's own IPv4 address is behind it. */
static void a_resolver_cannot_choose_by_itself(void **state)
{
    (void)state;
    assert_false(translates("2001:db8:122:344::5", "192.0.2.33", "2001:db8:122:344::192.0.0.170"));
    assert_false(translates("2001:db8:122:344::192.0.2.33", "192.0.2.33",
                            "2001:db8:122:345::192.0.0.170"));
    assert_false(translates("2001:db8:122:344::192.0.2.33", "192.0.2.33",
                            "2001:db8:122:344::192.0.0.172"));
    assert_false(translates("2001:db8:122:344::192.0.2.33", "192.0.2.33", "192.0.0.170"));
    assert_true(translates("2001:db8:122:344::192.0.2.33", "192.0.2.33",
                           "2001:db8:122:344::192.0.0.170"));
}

static void without_addresses_nothing_is_translated(void **state)
{
    struct address target = parsed("2001:db8:122:344::192.0.2.33"), v4 = parsed("192.0.2.33"),
                   known = parsed("2001:db8:122:344::192.0.0.170");

    (void)state;
    assert_false(nat64_may_translate(&target, &v4, 0));
    assert_false(nat64_translates(&target, &v4, 0, &known, 1));
    assert_false(nat64_translates(&target, &v4, 1, &known, 0));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard_hold_their_address),
        cmocka_unit_test(there_are_six_lengths),
        cmocka_unit_test(bits_64_to_71_are_zero),
        cmocka_unit_test(two_prefixes_are_well_known),
        cmocka_unit_test(the_prefix_of_the_network_is_known_by_ipv4only),
        cmocka_unit_test(a_resolver_cannot_choose_by_itself),
        cmocka_unit_test(without_addresses_nothing_is_translated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
