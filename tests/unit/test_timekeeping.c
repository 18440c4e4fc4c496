#include "check.h"

#include <sys/timex.h>

#include "timekeeping.h"

/* Whether this machine's clock is, the test cannot choose; it takes the other way to ask,
 * which has no other answers. */
static void it_says_what_the_kernel_says(void **state)
{
    struct ntptimeval time;
    bool is_synchronised = ntp_gettime(&time) != TIME_ERROR;

    (void)state;
    assert_int_equal(timekeeping_is_synchronised(), is_synchronised);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_the_kernel_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
