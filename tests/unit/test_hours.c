#include "check.h"

#include "daemon/config/hours.h"

static struct hours hours[POLICY_HOURS];
static uint32_t count;
static struct error why;

static void assert_parses(const char *text)
{
    if (!hours_parse(hours, &count, text, &why))
        fail_msg("%s: %s", text, why.text);
}

/* After these lines, all of it is printed as `expected`. */
static void assert_printed(const char *const *lines, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    count = 0;
    for (; *lines; lines++)
        assert_parses(*lines);
    hours_print(hours, count, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

#define PRINTED(expected, ...) assert_printed((const char *const[]){__VA_ARGS__, NULL}, expected)

static void days_and_times_are_understood(void **state)
{
    (void)state;
    PRINTED("Hours = Mon 08:00-18:00\n", "Mon 08:00-18:00");
    PRINTED("Hours = Mon 08:00-18:00\nHours = Tue 08:00-18:00\n", "mon-TUE  08:00-18:00");
    PRINTED("Hours = Mon 00:00-24:00\nHours = Sun 00:00-24:00\n", "Sun-Mon 00:00-24:00");
    PRINTED("Hours = Mon 00:00-06:30\nHours = Sun 22:00-24:00\n", "Sun 22:00-06:30");
    PRINTED("Hours = Fri 22:00-24:00\n", "Fri 22:00-00:00");
}

static void what_touches_is_one(void **state)
{
    (void)state;
    PRINTED("Hours = Wed 08:00-20:00\n", "Wed 12:00-20:00", "Wed 08:00-09:00", "Wed 09:00-12:00");
    PRINTED("Hours = Wed 08:00-09:00\nHours = Wed 09:01-10:00\nHours = Thu 08:00-10:00\n",
            "Thu 08:00-10:00", "Wed 09:01-10:00", "Wed 08:00-09:00");
}

static void the_rest_is_refused(void **state)
{
    static const char *const wrong[] = {
        "", "Mon", "Mon ", "08:00-18:00", "Mon08:00-18:00", "Monday 08:00-18:00", "Mon-08:00-18:00",
        "Mon 8:00-18:00", "Mon 08:00", "Mon 08:00-18:00 ", "Mon 08:60-18:00", "Mon 08:00-24:01",
        "Mon 24:00-08:00", "Mon 08:00-08:00", "Mon 08:00-18:00, Tue 08:00-18:00", "Mon 08.00-18.00",
        "Mon 0\xc2:00-18:00"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        count = 0;
        if (hours_parse(hours, &count, wrong[i], &why))
            fail_msg("'%s' was taken", wrong[i]);
        assert_non_null(strstr(why.text, "08:00-18:00 (UTC)"));
    }
}

static void there_is_room_for_so_many(void **state)
{
    char line[] = "Mon 00:00-00:01";

    (void)state;
    count = 0;
    for (int i = 0; i < POLICY_HOURS; i++) {
        snprintf(line, sizeof line, "Mon %02d:%02d-%02d:%02d", i / 2, i % 2 * 30, i / 2,
                 i % 2 * 30 + 1);
        assert_parses(line);
    }
    assert_int_equal(count, POLICY_HOURS);
    assert_false(hours_parse(hours, &count, "Tue 08:00-09:00", &why));
    assert_non_null(strstr(why.text, "more than 32 ranges"));
    assert_parses("Mon 00:00-24:00");
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_and_times_are_understood),
        cmocka_unit_test(what_touches_is_one),
        cmocka_unit_test(the_rest_is_refused),
        cmocka_unit_test(there_is_room_for_so_many),
    };

    return cmocka_run_group_tests_name("hours", tests, NULL, NULL);
}
