#include "check.h"

#include "common/clock.h"
#include "daemon/witness/throttle.h"

enum { PROFILES = 1000 };

static const struct helper_profile profile = {.name = "laptop"};
static struct client items[PROFILES];
static const struct clients clients = {.items = items, .count = PROFILES};

static unsigned admitted(struct throttle *throttle, enum verdict verdict, unsigned times, int64_t now)
{
    unsigned count = 0;

    for (unsigned i = 0; i < times; i++)
        count += throttle_admits_refusal(throttle, verdict, now);
    return count;
}

static unsigned admitted_of(struct throttle *throttle, size_t who, unsigned times, int64_t now)
{
    unsigned count = 0;

    for (unsigned i = 0; i < times; i++)
        count += throttle_admits_profile(throttle, &items[who], now);
    return count;
}

static int forget(void **state)
{
    (void)state;
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < PROFILES; i++)
        items[i].profile = &profile;
    return 0;
}

static void a_flood_of_one_kind_hides_no_other(void **state)
{
    struct throttle throttle = {0};

    (void)state;
    assert_int_equal(admitted(&throttle, VERDICT_REPEATED, 1000, 5), REFUSALS_LOGGED);
    assert_int_equal(admitted(&throttle, VERDICT_BEHIND, 3, 5), 3);
    assert_int_equal(admitted(&throttle, VERDICT_REPEATED, 1, 5), 0);
}

static void what_was_left_out_is_told_when_the_period_is_over(void **state)
{
    const int64_t now = 5, period = (int64_t)REFUSALS_PERIOD * NSEC_PER_SEC;
    struct throttle throttle = {0};

    (void)state;
    assert_int_equal(throttle_next(&throttle), 0);
    admitted(&throttle, VERDICT_REPEATED, REFUSALS_LOGGED, now);
    assert_int_equal(throttle_next(&throttle), 0);
    admitted(&throttle, VERDICT_REPEATED, 7, now);
    assert_int_equal(throttle_next(&throttle), now + period);
    throttle_sum_up(&throttle, &clients, now + period - 1);
    assert_int_equal(throttle.refusals[VERDICT_REPEATED].left_out, 7);
    throttle_sum_up(&throttle, &clients, now + period);
    assert_int_equal(throttle.refusals[VERDICT_REPEATED].left_out, 0);
    assert_int_equal(throttle_next(&throttle), 0);
}

static void a_new_period_admits_again(void **state)
{
    const int64_t period = (int64_t)REFUSALS_PERIOD * NSEC_PER_SEC;
    struct throttle throttle = {0};

    (void)state;
    admitted(&throttle, VERDICT_AHEAD, 100, 5);
    assert_int_equal(admitted(&throttle, VERDICT_AHEAD, 1, 5 + period - 1), 0);
    assert_int_equal(admitted(&throttle, VERDICT_AHEAD, 100, 5 + period), REFUSALS_LOGGED);
}

static void lines_of_one_profile_hide_no_other(void **state)
{
    struct throttle throttle = {0};

    (void)state;
    assert_int_equal(admitted_of(&throttle, 0, 10000, 5), LINES_LOGGED);
    for (size_t i = 1; i < PROFILES; i++)
        assert_int_equal(admitted_of(&throttle, i, 1, 5), 1);
    assert_int_equal(admitted(&throttle, VERDICT_REPEATED, 1, 5), 1);
}

/* Each in its own time. */
static void what_a_profile_left_out_is_told_when_its_minute_is_over(void **state)
{
    const int64_t now = 5, minute = (int64_t)LINES_PERIOD * NSEC_PER_SEC;
    struct throttle throttle = {0};

    (void)state;
    admitted_of(&throttle, 7, LINES_LOGGED, now);
    assert_int_equal(throttle_next(&throttle), 0);
    admitted_of(&throttle, 8, LINES_LOGGED + 2, now + 1);
    admitted_of(&throttle, 7, 3, now + 2);
    assert_int_equal(throttle_next(&throttle), now + minute);
    throttle_sum_up(&throttle, &clients, now + minute - 1);
    assert_int_equal(items[7].told.left_out, 3);
    throttle_sum_up(&throttle, &clients, now + minute);
    assert_int_equal(items[7].told.left_out, 0);
    assert_int_equal(items[8].told.left_out, 2);
    assert_int_equal(throttle_next(&throttle), now + 1 + minute);
    throttle_sum_up(&throttle, &clients, now + 1 + minute);
    assert_int_equal(items[8].told.left_out, 0);
    assert_int_equal(throttle_next(&throttle), 0);
    assert_int_equal(admitted_of(&throttle, 7, 100, now + minute), LINES_LOGGED);
}

static void at_the_end_all_is_told(void **state)
{
    struct throttle throttle = {0};

    (void)state;
    admitted(&throttle, VERDICT_AHEAD, REFUSALS_LOGGED + 1, 5);
    admitted_of(&throttle, PROFILES - 1, LINES_LOGGED + 1, 5);
    throttle_sum_up(&throttle, &clients, INT64_MAX);
    assert_int_equal(throttle.refusals[VERDICT_AHEAD].left_out, 0);
    assert_int_equal(items[PROFILES - 1].told.left_out, 0);
    assert_int_equal(throttle_next(&throttle), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_flood_of_one_kind_hides_no_other, forget),
        cmocka_unit_test_setup(what_was_left_out_is_told_when_the_period_is_over, forget),
        cmocka_unit_test_setup(a_new_period_admits_again, forget),
        cmocka_unit_test_setup(lines_of_one_profile_hide_no_other, forget),
        cmocka_unit_test_setup(what_a_profile_left_out_is_told_when_its_minute_is_over, forget),
        cmocka_unit_test_setup(at_the_end_all_is_told, forget),
    };

    return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
