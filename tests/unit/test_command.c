#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/text/command.h"

static const char *config_read;
static int arguments_read;

/* A command with an argument of its own: ends with 3, or as if it were not called. */
static int run_show(const char *config_file, int argc, char **argv)
{
    if (command_refuse_options(argc, argv) != 0)
        return EXIT_USAGE;
    config_read = config_file;
    arguments_read = argc - optind;
    return 3;
}

static int run_list(const char *config_file, int argc, char **argv)
{
    (void)config_file;
    return command_refuse_options(argc, argv) != 0 ? EXIT_USAGE : command_refuse_arguments(argc);
}

static const struct command commands[] = {
    {"show", run_show, NULL}, {"list", run_list, NULL}, {"print", run_show, "show"}};

static int call(int argc, char **argv)
{
    config_read = NULL;
    arguments_read = -1;
    optind = 0;
    return command_main(commands, 3, "usage: program\n", "/etc/default", argc, argv);
}

#define CALL(...)                                              \
    call((int)(sizeof((char *[]){"program", __VA_ARGS__}) / sizeof(char *)), \
         (char *[]){"program", __VA_ARGS__, NULL})

static void a_command_gets_what_is_its_own(void **state)
{
    (void)state;
    assert_int_equal(CALL("show", "one"), 3);
    assert_string_equal(config_read, "/etc/default");
    assert_int_equal(arguments_read, 1);
    assert_int_equal(CALL("-c", "mine", "show", "one", "two"), 3);
    assert_string_equal(config_read, "mine");
    assert_int_equal(arguments_read, 2);
    assert_int_equal(CALL("--config=mine", "list"), EXIT_SUCCESS);
    assert_int_equal(CALL("print", "one"), 3); /* an old word */
}

static void mistakes_call_no_command(void **state)
{
    (void)state;
    assert_int_equal(CALL("shw"), EXIT_USAGE);
    assert_int_equal(CALL("-c", "mine"), EXIT_USAGE);
    assert_int_equal(CALL("--bogus", "show"), EXIT_USAGE);
    assert_int_equal(CALL("show", "--bogus"), EXIT_USAGE);
    assert_int_equal(CALL("list", "one"), EXIT_USAGE);
    assert_null(config_read);
}

static void help_and_version_call_no_command(void **state)
{
    (void)state;
    assert_int_equal(CALL("--help", "show"), EXIT_SUCCESS);
    assert_int_equal(CALL("show", "--help"), EXIT_SUCCESS);
    assert_int_equal(CALL("-V", "show"), EXIT_SUCCESS);
    assert_null(config_read);
}

static void a_name_finds_its_element(void **state)
{
    (void)state;
    assert_ptr_equal(command_find(commands, 2, sizeof *commands, "list"), &commands[1]);
    assert_null(command_find(commands, 2, sizeof *commands, "lis"));
    assert_null(command_find(commands, 2, sizeof *commands, ""));
    assert_null(command_find(commands, 2, sizeof *commands, NULL));
}

static void output_that_is_lost_is_a_failure(void **state)
{
    int out = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);

    (void)state;
    fflush(stdout);
    dup2(full, STDOUT_FILENO);
    puts("lost");
    assert_int_equal(command_finish(EXIT_SUCCESS), EXIT_FAILURE);
    puts("lost");
    assert_int_equal(command_finish(3), 3);
    dup2(out, STDOUT_FILENO);
    assert_int_equal(command_finish(EXIT_SUCCESS), EXIT_SUCCESS);
    close(full);
    close(out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_gets_what_is_its_own),
        cmocka_unit_test(mistakes_call_no_command),
        cmocka_unit_test(help_and_version_call_no_command),
        cmocka_unit_test(a_name_finds_its_element),
        cmocka_unit_test(output_that_is_lost_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
