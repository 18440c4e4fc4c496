#include "check.h"

#include "daemon/supervisor/metrics.h"

static const struct pair running = {.sniffer = 1, .helper = 2, .live = 3};

static void read_all(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t n;

    assert_non_null(file);
    n = fread(text, 1, size - 1, file);
    text[n] = '\0';
    fclose(file);
}

static void every_counter_is_there_under_its_own_name(void **state)
{
    const struct counters counters = {.captured = 1, .garbage = 2, .authentic = 3, .malformed = 4,
                                      .untimely = 5, .repeated = 6, .throttled = 7, .unsent = 8,
                                      .passed = 9, .granted = 10, .refused = UINT64_MAX,
                                      .dropped = 11, .merged = 12, .elsewhere = 13};
    static const char *const lines[] = {
        "\nportsmith_up 1\n", "\nportsmith_live_grants 3\n", "\nportsmith_captured_frames_total 1\n",
        "\nportsmith_dropped_frames_total 11\n",
        "\nportsmith_garbage_frames_total 2\n", "\nportsmith_authentic_knocks_total 3\n",
        "\nportsmith_merged_knocks_total 12\n",
        "\nportsmith_malformed_knocks_total 4\n", "\nportsmith_untimely_knocks_total 5\n",
        "\nportsmith_repeated_knocks_total 6\n", "\nportsmith_throttled_knocks_total 7\n",
        "\nportsmith_unsent_knocks_total 8\n", "\nportsmith_passed_knocks_total 9\n",
        "\nportsmith_elsewhere_knocks_total 13\n", "\nportsmith_granted_knocks_total 10\n",
        "\nportsmith_refused_knocks_total 18446744073709551615\n",
    };
    char path[256], text[16384];
    struct error why;
    struct stat s;

    snprintf(path, sizeof path, "%s/portsmith.prom", (char *)*state);
    assert_true(metrics_write(path, &counters, &running, &why));
    read_all(path, text, sizeof text);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_non_null(strstr(text, lines[i]));
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0644);
    assert_int_equal(access(".portsmith.prom.new", F_OK), -1);
}

static void refusals_are_told_by_reason(void **state)
{
    struct pair pair = {.verdicts = {[VERDICT_REPEATED] = 2, [VERDICT_OPENED] = 5},
                        .verdicts_before = {[VERDICT_REPEATED] = 40, [VERDICT_BEHIND] = 1}};
    const struct counters counters = {0};
    char path[256], text[16384];
    size_t refusals = 0;
    struct error why;

    snprintf(path, sizeof path, "%s/portsmith.prom", (char *)*state);
    assert_true(metrics_write(path, &counters, &pair, &why));
    read_all(path, text, sizeof text);
    assert_non_null(strstr(text, "\nportsmith_refusals_total{reason=\"repeated\"} 42\n"));
    assert_non_null(strstr(text, "\nportsmith_refusals_total{reason=\"behind\"} 1\n"));
    assert_non_null(strstr(text, "\nportsmith_refusals_total{reason=\"ahead\"} 0\n"));
    for (const char *at = text; (at = strstr(at, "{reason=")); at++)
        refusals++;
    assert_int_equal(refusals, VERDICTS - 1 - 3);
}

static void whether_the_rules_are_in_force_is_told(void **state)
{
    static const char *const lines[] = {
        [HELPER_RULES_UNKNOWN] = "\nportsmith_rules_in_force NaN\n",
        [HELPER_RULES_IN_FORCE] = "\nportsmith_rules_in_force 1\n",
        [HELPER_RULES_MISSING] = "\nportsmith_rules_in_force 0\n",
        [HELPER_RULES_CONTESTED] = "\nportsmith_rules_in_force 1\n",
    };
    const struct counters counters = {0};
    char path[256], text[16384];
    struct error why;

    snprintf(path, sizeof path, "%s/portsmith.prom", (char *)*state);
    for (uint32_t rules = 0; rules < COUNT_OF(lines); rules++) {
        assert_true(metrics_write(path, &counters, &(struct pair){.rules = rules}, &why));
        read_all(path, text, sizeof text);
        assert_non_null(strstr(text, lines[rules]));
    }
}

static void whether_the_rules_are_owned_is_told(void **state)
{
    const struct counters counters = {0};
    char path[256], text[16384];
    struct error why;

    snprintf(path, sizeof path, "%s/portsmith.prom", (char *)*state);
    assert_true(metrics_write(path, &counters, &(struct pair){.owned = 1}, &why));
    read_all(path, text, sizeof text);
    assert_non_null(strstr(text, "\nportsmith_rules_owned 1\n"));
    assert_true(metrics_write(path, &counters, &(struct pair){.owned = 0}, &why));
    read_all(path, text, sizeof text);
    assert_non_null(strstr(text, "\nportsmith_rules_owned 0\n"));
}

/* The largest numbers have room, too. */
static void nothing_is_cut(void **state)
{
    struct counters counters;
    struct pair pair;
    char path[256], text[16384], last[80];
    struct error why;

    memset(&counters, 0xff, sizeof counters);
    memset(&pair, 0xff, sizeof pair);
    memset(pair.verdicts_before, 0, sizeof pair.verdicts_before);
    snprintf(path, sizeof path, "%s/portsmith.prom", (char *)*state);
    assert_true(metrics_write(path, &counters, &pair, &why));
    read_all(path, text, sizeof text);
    snprintf(last, sizeof last, "{reason=\"%s\"} 18446744073709551615\n",
             verdict_name(VERDICTS - 1));
    assert_non_null(strstr(text, last));
}

static void the_file_is_replaced_as_a_whole(void **state)
{
    const struct counters counters = {.captured = 1};
    char path[256], text[16384];
    struct stat before, after;
    struct error why;

    snprintf(path, sizeof path, "%s/portsmith.prom", (char *)*state);
    assert_true(metrics_write(path, &counters, &running, &why));
    assert_int_equal(link("portsmith.prom", "before"), 0);
    assert_true(metrics_write(path, &counters, &(struct pair){.sniffer = 1}, &why));
    assert_int_equal(stat("before", &before), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    read_all(path, text, sizeof text);
    assert_non_null(strstr(text, "\nportsmith_up 0\n"));
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    const struct counters counters = {0};
    struct error why;

    (void)state;
    assert_false(metrics_write("/nowhere/portsmith.prom", &counters, &running, &why));
    assert_string_equal(why.text, "/nowhere/: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_counter_is_there_under_its_own_name, scratch_enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(refusals_are_told_by_reason, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(whether_the_rules_are_in_force_is_told, scratch_enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(whether_the_rules_are_owned_is_told, scratch_enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(nothing_is_cut, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(the_file_is_replaced_as_a_whole, scratch_enter,
                                        scratch_leave),
        cmocka_unit_test(a_directory_that_is_not_there_is_named),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
