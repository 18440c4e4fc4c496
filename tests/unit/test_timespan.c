#include "check.h"

#include "common/text/timespan.h"

static void spans_are_read(void **state)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } spans[] = {{"1", 1},       {"30s", 30},    {"10m", 600},       {"2h", 7200},
                 {"1d", 86400},  {"7d", 604800}, {"604800", 604800}, {"168h", 604800},
                 {"010", 10}};
    struct error why;
    uint32_t seconds;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        assert_true(timespan_parse(&seconds, spans[i].text, &why));
        assert_int_equal(seconds, spans[i].seconds);
    }
}

static void other_spans_are_refused(void **state)
{
    static const char *const texts[] = {
        "",   "0",  "0s", "s",   "-1",  "+1",     "1.5h", "1 h",  "10min", "1h30m",   "1w",
        "8d", "604801", "169h", "999999d", "1000000", "99999999999999999999", " 1", "1 ", "ten", "1S",
        "213503982334602d", /* 2^64 seconds and a bit */
    };
    struct error why;
    uint32_t seconds;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (timespan_parse(&seconds, texts[i], &why))
            fail_msg("'%s' was taken for %u seconds", texts[i], seconds);
}

static void every_span_survives_its_text(void **state)
{
    char text[TIMESPAN_TEXT_SIZE];
    struct error why;
    uint32_t again;

    (void)state;
    for (uint32_t seconds = 1; seconds <= TIMESPAN_MAX; seconds++) {
        assert_true(timespan_parse(&again, timespan_format(seconds, text), &why));
        assert_int_equal(again, seconds);
    }
    assert_string_equal(timespan_format(90, text), "90s");
    assert_string_equal(timespan_format(600, text), "10m");
    assert_string_equal(timespan_format(86400, text), "1d");
    assert_string_equal(timespan_format(0, text), "0s");
}

static void a_date_ends_with_its_day(void **state)
{
    struct error why;
    int64_t end;

    (void)state;
    assert_true(date_parse(&end, "1970-01-01", &why));
    assert_int_equal(end, 86400);
    assert_true(date_parse(&end, "2027-01-31", &why));
    assert_int_equal(end, 1801440000); /* 2027-02-01 00:00:00 UTC */
    assert_true(date_parse(&end, "2028-02-29", &why));
}

static void other_dates_are_refused(void **state)
{
    static const char *const texts[] = {
        "",           "2027-02-29", "2027-13-01", "2027-00-10", "2027-04-31", "2027-1-31",
        "27-01-31",   "2027/01/31", "2027-01-31 ", "2027-01-3x", "31-01-2027", "2027-01-00",
        "+027-01-31", "2027--1-31", "2027- 1-31",
    };
    struct error why;
    int64_t end;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (date_parse(&end, texts[i], &why))
            fail_msg("'%s' was taken for a date", texts[i]);
}

static void every_day_survives_its_text(void **state)
{
    char text[DATE_TEXT_SIZE];
    struct error why;
    int64_t again;

    (void)state;
    for (int64_t end = 86400; end < 4102444800 /* 2100 */; end += 86400) {
        assert_true(date_parse(&again, date_format(end, text), &why));
        assert_int_equal(again, end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_read),
        cmocka_unit_test(other_spans_are_refused),
        cmocka_unit_test(every_span_survives_its_text),
        cmocka_unit_test(a_date_ends_with_its_day),
        cmocka_unit_test(other_dates_are_refused),
        cmocka_unit_test(every_day_survives_its_text),
    };

    return cmocka_run_group_tests_name("timespan", tests, NULL, NULL);
}
