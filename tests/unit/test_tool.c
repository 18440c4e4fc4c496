#include "check.h"

#include "daemon/host/tool.h"

static void a_program_says_what_it_is_told(void **state)
{
    static const char *const arguments[] = {"-", NULL};
    struct tool tool;
    struct error why;

    (void)state;
    assert_true(tool_run(&tool, "/bin/cat", arguments, "twice\ntwo\n", &why));
    assert_int_equal(tool.status, 0);
    assert_string_equal(tool.said, "twice\ntwo\n");
    free(tool.said);
}

static void its_errors_and_its_status_are_told(void **state)
{
    static const char *const arguments[] = {"-c", "echo out; echo err >&2; env; exit 3", NULL};
    struct tool tool;
    struct error why;

    (void)state;
    assert_true(tool_run(&tool, "/bin/sh", arguments, "", &why));
    assert_int_equal(tool.status, 3);
    assert_ptr_equal(strstr(tool.said, "out\nerr\n"), tool.said);
    assert_null(strstr(tool.said, "HOME="));
    free(tool.said);
}

static void one_that_is_killed_has_no_status(void **state)
{
    static const char *const arguments[] = {"-c", "kill -9 $$", NULL};
    struct tool tool;
    struct error why;

    (void)state;
    assert_true(tool_run(&tool, "/bin/sh", arguments, "", &why));
    assert_int_equal(tool.status, -1);
    free(tool.said);
}

static void one_that_is_missing_is_an_error(void **state)
{
    static const char *const none[] = {NULL};
    struct tool tool;
    struct error why;

    (void)state;
    if (getenv("UNDER_VALGRIND")) /* its vfork does not let the child tell why exec failed */
        skip();
    assert_false(tool_run(&tool, "/nowhere/iptables-save", none, "", &why));
    assert_non_null(strstr(why.text, "/nowhere/iptables-save"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_says_what_it_is_told),
        cmocka_unit_test(its_errors_and_its_status_are_told),
        cmocka_unit_test(one_that_is_killed_has_no_status),
        cmocka_unit_test(one_that_is_missing_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
