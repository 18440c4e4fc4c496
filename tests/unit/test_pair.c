#include "check.h"

#include <net/if.h>

#include "netspace.h"
#include "pair.h"

static struct config config = {.interfaces = {"one", "two"}, .interface_count = 2};
static struct pair pair;

/* As pair_replace notes it when both are captured. */
static int make_interfaces(void **state)
{
    (void)state;
    run_command("ip link add one type veth && ip link set one up && "
                "ip link add two type veth && ip link set two up");
    pair_init(&pair);
    pair.interfaces[0] = if_nametoindex("one");
    pair.interfaces[1] = if_nametoindex("two");
    return 0;
}

static int remove_interfaces(void **state)
{
    (void)state;
    run_command("ip link delete one; ip link delete two 2>/dev/null || true");
    return 0;
}

static void the_same_interfaces_are_no_news(void **state)
{
    (void)state;
    assert_false(pair_has_other_interfaces(&pair, &config));
    run_command("ip link set two down"); /* its capture goes on once it is up again */
    assert_false(pair_has_other_interfaces(&pair, &config));
}

static void one_that_has_come_is_news(void **state)
{
    (void)state;
    pair.interfaces[1] = 0;
    assert_true(pair_has_other_interfaces(&pair, &config));
    run_command("ip link set two down"); /* there, but of no use yet */
    assert_false(pair_has_other_interfaces(&pair, &config));
}

static void one_that_has_gone_is_news(void **state)
{
    (void)state;
    run_command("ip link delete two");
    assert_true(pair_has_other_interfaces(&pair, &config));
    pair.interfaces[1] = 0; /* as noted by the pair that came after */
    assert_false(pair_has_other_interfaces(&pair, &config));
}

static void one_made_anew_is_news(void **state)
{
    (void)state;
    run_command("ip link delete two && ip link add two type veth && ip link set two up");
    assert_true(pair_has_other_interfaces(&pair, &config));
}

static void any_interface_is_always_there(void **state)
{
    static const struct config any = {.interfaces = {"any"}, .interface_count = 1};

    (void)state;
    pair.interfaces[0] = UINT32_MAX;
    assert_false(pair_has_other_interfaces(&pair, &any));
}

/* ---- children ----------------------------------------------------------- */

static void the_end_of_each_child_is_noted(void **state)
{
    (void)state;
    pair_init(&pair);
    pair.sniffer = 10;
    pair.helper = 11;
    assert_false(pair_note_end(&pair, 12, 0));
    assert_true(pair_note_end(&pair, 10, SIGKILL));
    assert_int_equal(pair.sniffer, 0);
    assert_int_equal(pair.helper, 11);
    assert_false(pair_note_end(&pair, 10, 0)); /* another process by now */
    assert_true(pair_note_end(&pair, 11, 1 << 8));
    assert_int_equal(pair.helper, 0);
}

static void ending_nothing_is_fine(void **state)
{
    (void)state;
    pair_init(&pair);
    pair_end(&pair, true);
    pair_end(&pair, false);
    assert_int_equal(pair.control, -1);
    assert_int_equal(pair.lifeline, -1);
}

#define WITH_INTERFACES(test)                                                                      \
    cmocka_unit_test_setup_teardown(test, make_interfaces, remove_interfaces)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_INTERFACES(the_same_interfaces_are_no_news),
        WITH_INTERFACES(one_that_has_come_is_news),
        WITH_INTERFACES(one_that_has_gone_is_news),
        WITH_INTERFACES(one_made_anew_is_news),
        WITH_INTERFACES(any_interface_is_always_there),
        cmocka_unit_test(the_end_of_each_child_is_noted),
        cmocka_unit_test(ending_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
