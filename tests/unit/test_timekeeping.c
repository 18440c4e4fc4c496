#include "check.h"

#include <stdbool.h>
#include <sys/timex.h>

#include "common/text/timekeeping.h"

/* What the kernel answers, which no test can choose otherwise. */
static int answer, status;
static unsigned asked;

int __wrap_adjtimex(struct timex *state);

int __wrap_adjtimex(struct timex *state)
{
    asked++;
    assert_int_equal(state->modes, 0); /* nothing is set */
    state->status = status;
    return answer;
}

/* As glibc names it where 32 bits are usual. */
int __wrap____adjtimex64(struct timex *state) __attribute__((alias("__wrap_adjtimex")));

static void it_says_what_the_kernel_says(void **state)
{
    static const struct {
        int answer, status;
        bool expected;
    } cases[] = {
        {TIME_OK, STA_PLL, true},
        {TIME_INS, STA_PLL | STA_INS, true}, /* a leap second is near */
        {TIME_OK, STA_UNSYNC, false},        /* it was set by hand */
        {TIME_ERROR, STA_PLL, false},
        {TIME_ERROR, STA_UNSYNC, false},
    };

    (void)state;
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        answer = cases[i].answer;
        status = cases[i].status;
        assert_int_equal(timekeeping_is_synchronised(), cases[i].expected);
        assert_int_equal(asked, i + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_the_kernel_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
