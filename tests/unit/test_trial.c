#include "check.h"

#include "common/clock.h"
#include "daemon/config/trial.h"

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"
#define OTHER "01234567-89ab-cdef-0123-456789abcde4"

/* Both directories are the scratch one's; they are not there yet. */
static struct config here(void)
{
    struct config c = {0};
    char *directory = get_current_dir_name();

    assert_non_null(directory);
    snprintf(c.state_directory, sizeof c.state_directory, "%s/state/deep", directory);
    snprintf(c.run_directory, sizeof c.run_directory, "%s/run", directory);
    free(directory);
    return c;
}

/* ---- how long ------------------------------------------------------------- */

static void spans_have_limits(void **state)
{
    static const char *const wrong[] = {"9s", "0", "86401", "25h", "8d", "-1m", "15 m", "m", ""};
    struct error why;
    uint32_t seconds;

    (void)state;
    assert_true(trial_parse_span(&seconds, "10s", &why));
    assert_int_equal(seconds, 10);
    assert_true(trial_parse_span(&seconds, "1d", &why));
    assert_int_equal(seconds, 86400);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(trial_parse_span(&seconds, wrong[i], &why));
        assert_non_null(strstr(why.text, "from 10s to 24h"));
        assert_non_null(strstr(why.text, wrong[i]));
    }
}

static void what_is_left_is_rounded_up_and_never_nothing(void **state)
{
    (void)state;
    assert_int_equal(trial_seconds_left(0), 0);
    assert_int_equal(trial_seconds_left(1), 1); /* long over */
    assert_int_equal(trial_seconds_left(clock_boot_ns() + NSEC_PER_SEC), 1);
    assert_int_equal(trial_seconds_left(clock_boot_ns() + 2 * (int64_t)NSEC_PER_SEC), 2);
    assert_int_equal(trial_seconds_left(clock_boot_ns() + 900 * (int64_t)NSEC_PER_SEC), 900);
}

static void it_is_kept_by_the_same_configuration(void **state)
{
    char keep[TRIAL_KEEP_SIZE];
    bool systemd_runs = access("/run/systemd/system", F_OK) == 0;

    (void)state;
    assert_string_equal(trial_keep(CONFIG_FILE, keep),
                        systemd_runs ? "systemctl enable --now portsmithd" : "portsmithd");
    assert_string_equal(trial_keep("/root/other.conf", keep), "portsmithd -c /root/other.conf");
}

/* ---- the marker ------------------------------------------------------------- */

static enum trial_marker parse(const char *content, pid_t *pid)
{
    return trial_parse_marker(content, strlen(content), BOOT, pid);
}

static void a_marker_tells_boot_and_process(void **state)
{
    pid_t pid;

    (void)state;
    assert_int_equal(parse(BOOT " 4194304\n", &pid), TRIAL_OF_THIS_BOOT);
    assert_int_equal(pid, 4194304);
    assert_int_equal(parse(OTHER " 4194304\n", &pid), TRIAL_OF_ANOTHER_BOOT);
    assert_int_equal(pid, 0);
}

static void a_garbled_marker_is_of_another_boot(void **state)
{
    static const char *const garbled[] = {
        "", "\n", BOOT, BOOT "\n", BOOT " ", BOOT " \n", BOOT " 1", BOOT " 0\n", BOOT " -1\n",
        BOOT " +1\n", BOOT "  1\n", BOOT "\t1\n", BOOT " 1x\n", BOOT " 1\n\n", BOOT " 1 \n",
        BOOT " 99999999999\n", BOOT " 99999999999999999999999999999999999999999999999999999\n",
        " " BOOT " 1\n",
    };
    pid_t pid;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(garbled); i++) {
        if (parse(garbled[i], &pid) != TRIAL_OF_ANOTHER_BOOT || pid != 0)
            fail_msg("'%s' is taken for this boot's", garbled[i]);
    }
    assert_int_equal(trial_parse_marker(BOOT " 1\0\n", BOOT_ID_SIZE + 4, BOOT, &pid),
                     TRIAL_OF_ANOTHER_BOOT);
}

static void what_is_marked_is_found_until_it_is_forgotten(void **state)
{
    const struct config c = here();
    struct error why;
    pid_t pid;

    (void)state;
    assert_int_equal(trial_find_marker(&c, &pid), TRIAL_NONE);
    assert_true(trial_remove_marker(&c, &why));
    for (int i = 0; i < 2; i++) { /* in place of an old one, too */
        assert_true(trial_write_marker(&c, &why));
        assert_int_equal(trial_find_marker(&c, &pid), TRIAL_OF_THIS_BOOT);
        assert_int_equal(pid, getpid());
    }
    assert_true(trial_remove_marker(&c, &why));
    assert_int_equal(trial_find_marker(&c, &pid), TRIAL_NONE);
}

static void a_marker_that_cannot_be_read_is_of_another_boot(void **state)
{
    const struct config c = here();
    char path[PATH_MAX], content[512] = "";
    struct error why;
    pid_t pid;

    (void)state;
    assert_true(trial_write_marker(&c, &why));
    snprintf(path, sizeof path, "%s/trial", c.state_directory);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(trial_find_marker(&c, &pid), TRIAL_OF_ANOTHER_BOOT);
    memset(content, 'x', sizeof content - 1);
    scratch_write_text(path, 0600, content);
    assert_int_equal(trial_find_marker(&c, &pid), TRIAL_OF_ANOTHER_BOOT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(trial_find_marker(&c, &pid), TRIAL_OF_ANOTHER_BOOT);
    assert_true(trial_remove_marker(&c, &why));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(trial_find_marker(&c, &pid), TRIAL_OF_ANOTHER_BOOT);
    assert_false(trial_remove_marker(&c, &why));
    assert_false(trial_write_marker(&c, &why));
}

static void without_a_daemon_none_is_on_trial(void **state)
{
    const struct config c = here();
    struct error why;

    (void)state;
    assert_int_equal(trial_runs(&c), 0);
    assert_true(trial_write_marker(&c, &why));
    assert_int_equal(trial_runs(&c), 0);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_enter, scratch_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_have_limits),
        cmocka_unit_test(what_is_left_is_rounded_up_and_never_nothing),
        cmocka_unit_test(it_is_kept_by_the_same_configuration),
        cmocka_unit_test(a_marker_tells_boot_and_process),
        cmocka_unit_test(a_garbled_marker_is_of_another_boot),
        IN_SCRATCH(what_is_marked_is_found_until_it_is_forgotten),
        IN_SCRATCH(a_marker_that_cannot_be_read_is_of_another_boot),
        IN_SCRATCH(without_a_daemon_none_is_on_trial),
    };

    return cmocka_run_group_tests_name("trial", tests, NULL, NULL);
}
