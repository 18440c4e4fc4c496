#include "check.h"

#include "daemon/portsmith-firewall/saved.h"

/* Both directories are the scratch one's. */
static struct config here(void)
{
    struct config c = {0};
    char *directory = get_current_dir_name();

    assert_non_null(directory);
    snprintf(c.state_directory, sizeof c.state_directory, "%s/state", directory);
    snprintf(c.run_directory, sizeof c.run_directory, "%s/run", directory);
    free(directory);
    return c;
}

static void what_is_written_is_read(void **state)
{
    const struct config c = here();
    struct plan plan = {.is_confirmed = true, .on_trial = true, .until = 1764060000}, read;
    struct error why;
    char word[16];
    int lock = saved_lock(&c, &why);

    (void)state;
    assert_true(lock >= 0);
    for (int i = 0; i < SHUT_SERVICES; i++) { /* the longest there is */
        snprintf(word, sizeof word, "udp/%d", 65535 - i);
        assert_true(ruleset_allow(&plan.confirmed, word, &why));
    }
    assert_true(ruleset_allow(&plan.trial, "tcp/22", &why));
    assert_true(saved_write(&plan, &c, &why));
    assert_true(saved_read(&read, &c, &why));
    assert_memory_equal(&read, &plan, sizeof plan);
    close(lock);
}

static void what_is_over_is_removed(void **state)
{
    const struct config c = here();
    struct plan plan = {.is_confirmed = true, .on_trial = true, .until = 1}, read;
    struct error why;
    int lock = saved_lock(&c, &why);

    (void)state;
    assert_true(lock >= 0);
    assert_true(saved_write(&plan, &c, &why));
    plan.on_trial = false;
    assert_true(saved_write(&plan, &c, &why));
    assert_true(saved_read(&read, &c, &why));
    assert_true(read.is_confirmed && !read.on_trial);
    assert_int_equal(read.confirmed.count, 0);
    plan.is_confirmed = false;
    assert_true(saved_write(&plan, &c, &why));
    assert_true(saved_read(&read, &c, &why));
    assert_false(read.is_confirmed || read.on_trial);
    close(lock);
}

static void assert_refused(const struct config *c, const char *text, mode_t mode)
{
    struct plan plan;
    struct error why;

    scratch_write_text("state/firewall", mode, text);
    assert_false(saved_read(&plan, c, &why));
    assert_non_null(strstr(why.text, "state/firewall"));
}

static void a_file_that_is_wrong_is_refused(void **state)
{
    const struct config c = here();

    (void)state;
    assert_int_equal(mkdir("state", 0700), 0);
    assert_refused(&c, "[Firewall]\nAllow = ssh\n", 0600);
    assert_refused(&c, "[Firewall]\nUntil = soon\n", 0600);
    assert_refused(&c, "[Firewall]\nUntil = 0\n", 0600);
    assert_refused(&c, "[Firewall]\nUntil = 2147483648\n", 0600); /* no rule ends then */
    assert_refused(&c, "rubbish\n", 0600);
    assert_refused(&c, "[Firewall]\nAllow = tcp/22\n", 0666);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read, scratch_enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(what_is_over_is_removed, scratch_enter,
                                        scratch_leave),
        cmocka_unit_test_setup_teardown(a_file_that_is_wrong_is_refused, scratch_enter,
                                        scratch_leave),
    };

    return cmocka_run_group_tests_name("saved", tests, NULL, NULL);
}
