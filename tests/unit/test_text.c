#include "check.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "common/log.h"
#include "privsep/xtables/text.h"

enum { LINES = 20000 };

static void write_lines(struct text *text, int lines)
{
    for (int i = 0; i < lines; i++)
        fprintf(text->out, "line %d\n", i);
}

static void what_is_written_is_there(void **state)
{
    struct text text;
    char *at;

    (void)state;
    text_begin(&text);
    write_lines(&text, LINES);
    text_end(&text);
    assert_int_equal(strlen(text.bytes), text.size);
    at = text.bytes;
    for (int i = 0; i < LINES; i++) {
        char line[32];
        size_t length = (size_t)snprintf(line, sizeof line, "line %d\n", i);

        assert_memory_equal(at, line, length);
        at += length;
    }
    assert_ptr_equal(at, text.bytes + text.size);
    free(text.bytes);
}

static void an_empty_text_is_one(void **state)
{
    struct text text;

    (void)state;
    text_begin(&text);
    text_end(&text);
    assert_int_equal(text.size, 0);
    assert_string_equal(text.bytes, "");
    free(text.bytes);
}

/* A child, which gets no more memory once it has begun. */
static int status_without_memory(void)
{
    const struct rlimit none = {1000000, 1000000};
    pid_t child = fork();
    struct text text;
    int status;

    if (child == 0) {
        log_open("test", true, false);
        text_begin(&text);
        setrlimit(RLIMIT_AS, &none);
        write_lines(&text, 1000 * LINES);
        text_end(&text);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void half_a_text_is_never_taken(void **state)
{
    (void)state;
    assert_int_equal(status_without_memory(), EXIT_FAILURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_there),
        cmocka_unit_test(an_empty_text_is_one),
        cmocka_unit_test(half_a_text_is_never_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
