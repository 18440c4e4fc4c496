#include "check.h"

#include "common/verdict.h"

static void every_verdict_has_words_of_its_own(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < VERDICTS; i++) {
        assert_int_not_equal(strlen(verdict_name(i)), 0);
        assert_int_not_equal(strlen(verdict_text(i)), 0);
        for (uint32_t j = 1; j < i; j++) {
            assert_string_not_equal(verdict_name(i), verdict_name(j));
            assert_string_not_equal(verdict_text(i), verdict_text(j));
        }
    }
}

static void what_is_no_verdict_has_no_words(void **state)
{
    static const uint32_t others[] = {VERDICT_NONE, VERDICTS, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_string_equal(verdict_name(others[i]), "");
        assert_string_equal(verdict_text(others[i]), "");
        assert_false(verdict_is_grant(others[i]));
    }
}

static void three_of_them_are_grants(void **state)
{
    uint32_t grants = 0;

    (void)state;
    for (uint32_t i = 0; i < VERDICTS; i++)
        grants += verdict_is_grant(i);
    assert_int_equal(grants, 3);
    assert_true(verdict_is_grant(VERDICT_OPENED));
    assert_true(verdict_is_grant(VERDICT_EXTENDED));
    assert_true(verdict_is_grant(VERDICT_CLOSED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verdict_has_words_of_its_own),
        cmocka_unit_test(what_is_no_verdict_has_no_words),
        cmocka_unit_test(three_of_them_are_grants),
    };

    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
