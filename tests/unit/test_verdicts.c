#include "check.h"

#include "clock.h"
#include "verdicts.h"

static unsigned admitted(struct refusals *refusals, enum verdict verdict, unsigned times,
                         int64_t now)
{
    unsigned count = 0;

    for (unsigned i = 0; i < times; i++)
        count += helper_refusals_admit(refusals, verdict, now);
    return count;
}

static void a_flood_of_one_kind_hides_no_other(void **state)
{
    struct refusals refusals = {0};

    (void)state;
    assert_int_equal(admitted(&refusals, VERDICT_REPEATED, 1000, 5), REFUSALS_LOGGED);
    assert_int_equal(admitted(&refusals, VERDICT_BEHIND, 3, 5), 3);
    assert_int_equal(admitted(&refusals, VERDICT_REPEATED, 1, 5), 0);
}

static void what_was_left_out_is_told_when_the_period_is_over(void **state)
{
    const int64_t now = 5, period = (int64_t)REFUSALS_PERIOD * NSEC_PER_SEC;
    struct refusals refusals = {0};

    (void)state;
    assert_int_equal(helper_refusals_next(&refusals), 0);
    admitted(&refusals, VERDICT_REPEATED, REFUSALS_LOGGED, now);
    assert_int_equal(helper_refusals_next(&refusals), 0);
    admitted(&refusals, VERDICT_REPEATED, 7, now);
    assert_int_equal(helper_refusals_next(&refusals), now + period);
    helper_refusals_sum_up(&refusals, now + period - 1);
    assert_int_equal(refusals.of[VERDICT_REPEATED].left_out, 7);
    helper_refusals_sum_up(&refusals, now + period);
    assert_int_equal(refusals.of[VERDICT_REPEATED].left_out, 0);
    assert_int_equal(helper_refusals_next(&refusals), 0);
}

static void a_new_period_admits_again(void **state)
{
    const int64_t period = (int64_t)REFUSALS_PERIOD * NSEC_PER_SEC;
    struct refusals refusals = {0};

    (void)state;
    admitted(&refusals, VERDICT_AHEAD, 100, 5);
    assert_int_equal(admitted(&refusals, VERDICT_AHEAD, 1, 5 + period - 1), 0);
    assert_int_equal(admitted(&refusals, VERDICT_AHEAD, 100, 5 + period), REFUSALS_LOGGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_one_kind_hides_no_other),
        cmocka_unit_test(what_was_left_out_is_told_when_the_period_is_over),
        cmocka_unit_test(a_new_period_admits_again),
    };

    return cmocka_run_group_tests_name("verdicts", tests, NULL, NULL);
}
