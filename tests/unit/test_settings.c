#include "check.h"

#include <errno.h>

#include "common/text/settings.h"

/* What a reading found: every pair in order, as "key=value;". */
struct found {
    char text[1024];
};

static bool take(struct found *f, const char *key, const char *value)
{
    size_t used = strlen(f->text);

    snprintf(f->text + used, sizeof f->text - used, "%s=%s|", key, value);
    return true;
}

static bool set_name(void *into, const char *value, struct error *why)
{
    (void)why;
    return take(into, "name", value);
}

static bool set_open(void *into, const char *value, struct error *why)
{
    (void)why;
    return take(into, "open", value);
}

static bool set_number(void *into, const char *value, struct error *why)
{
    if (strspn(value, "0123456789") != strlen(value))
        return error_set(why, "'%s' is not a number", value);
    return take(into, "number", value);
}

static const struct setting settings[] = {
    {.key = "Name", .set = set_name},
    {.key = "Number", .set = set_number},
    {.key = "Open", .set = set_open, .repeats = true},
};

static const struct old_word old_words[] = {
    {"Count", "Number", NULL}, {"tout", "Open", "all"}, {NULL, NULL, NULL}};

static const struct settings_table table = {"Server", settings, COUNT_OF(settings), old_words,
                                           NULL};

static struct settings_notes notes; /* of the last reading */

static bool read_bytes(struct found *f, struct error *why, const void *content, size_t size)
{
    memset(f, 0, sizeof *f);
    memset(why, 0, sizeof *why);
    memset(&notes, 0, sizeof notes);
    scratch_write("test.conf", 0644, content, size);
    return settings_read("test.conf", FILE_CONFIGURATION, &table, f, &notes, why);
}

static void assert_read(const char *content, const char *expected)
{
    struct error why;
    struct found f;

    if (!read_bytes(&f, &why, content, strlen(content)))
        fail_msg("refused: %s", why.text);
    assert_string_equal(f.text, expected);
}

static void assert_refused(const char *content, const char *says)
{
    struct error why;
    struct found f;

    if (read_bytes(&f, &why, content, strlen(content)))
        fail_msg("'%s' was read as '%s'", content, f.text);
    if (!strstr(why.text, says))
        fail_msg("said '%s', not '%s'", why.text, says);
}

static void files_are_read(void **state)
{
    (void)state;
    assert_read("", "");
    assert_read("[Server]\nName = a b c\nNumber=7\n", "name=a b c|number=7|");
    assert_read("# one\n; two\n\n[Server]\n# three\nNAME = x\n", "name=x|");
    assert_read("[server]\nname =x", "name=x|"); /* no newline at the end */
    assert_read("[Server]\r\nName = x\r\n", "name=x|");
    assert_read("[Server]\nOpen = tcp/22\nOpen = udp/53\n", "open=tcp/22|open=udp/53|");
}

static void indentation_is_nothing(void **state)
{
    (void)state;
    assert_read("  [Server]\n  Name = x\n\tNumber = 7\n", "name=x|number=7|");
    assert_read("[Server]\nName = x\n  # a comment, indented\n  Number = 7\n", "name=x|number=7|");
}

static void a_value_keeps_its_semicolons(void **state)
{
    (void)state;
    assert_read("[Server]\nName = x ; y\n", "name=x ; y|");
    assert_read("[Server]\nName = x # y\n", "name=x # y|");
}

static void mistakes_are_named_with_file_and_line(void **state)
{
    (void)state;
    assert_refused("[Server]\nNane = x\n", "test.conf:2: unknown key 'Nane'");
    assert_refused("[Server]\n\n# c\nNumber = seven\n", "test.conf:4: Number: 'seven' is not a number");
    assert_refused("[Server]\nName = x\nname = y\n", "test.conf:3: Name is given a second time");
    assert_refused("Name = x\n", "test.conf:1: expected the line [Server] before this one");
    assert_refused("[Server]\n[Client]\nName = x\n",
                   "test.conf:2: expected the section [Server], not [Client]");
    assert_refused("[Server]\nName = x\n[Client]\n", "test.conf:3: expected the section [Server]");
    assert_refused("[Server]\nName : x\n", "test.conf:2: expected 'Key = value', with an equals");
    assert_refused("[Server]\nName\n", "test.conf:2: expected 'Key = value'");
    assert_refused("[Server\nName = x\n", "test.conf:1: expected");
    assert_refused("[Server]\nName = x\nrubbish\nNumber = 1\n", "test.conf:3: expected");
}

/* What an editor put before the text is no part of it, and hides nothing of it. */
static void a_byte_order_mark_is_passed_over(void **state)
{
    (void)state;
    assert_read("\xef\xbb\xbf[Server]\nName = x\n", "name=x|");
    assert_read("\xef\xbb\xbf# c\r\n[Server]\r\nName = x\r\n", "name=x|");
    assert_read("\xef\xbb\xbf", "");
    assert_refused("\xef\xbb\xbf[Nonsense]\nName = x\n",
                   "test.conf:1: expected the section [Server], not [Nonsense]");
    assert_refused("\xef\xbb\xbf[Nonsense]\n[Server]\nName = x\n",
                   "test.conf:1: expected the section [Server], not [Nonsense]");
    assert_refused("\xef\xbb\xbfName : x\n", "test.conf:1: expected 'Key = value', with an equals");
    assert_refused("\xef\xbb\xbf\xef\xbb\xbf[Server]\n", "test.conf:1: expected");
    assert_refused("[Server]\n\xef\xbb\xbf[Nonsense]\n", "test.conf:2: expected");
    assert_refused("\n\xef\xbb\xbf[Server]\nName = x\n", "test.conf:2: expected");
}

static void long_lines_are_refused_not_split(void **state)
{
    char content[2 * SETTINGS_LINE_MAX + 64];
    int n;

    (void)state;
    /* "Name = " and so many letters that the line has SETTINGS_LINE_MAX. */
    n = snprintf(content, sizeof content, "[Server]\nName = %0*d\n", SETTINGS_LINE_MAX - 7, 0);
    assert_int_equal(n, 9 + SETTINGS_LINE_MAX + 1);
    content[n] = '\0';
    {
        struct error why;
        struct found f;

        assert_true(read_bytes(&f, &why, content, (size_t)n));
        assert_int_equal(strlen(f.text), 6 + SETTINGS_LINE_MAX - 7);
    }
    for (int more = 1; more <= SETTINGS_LINE_MAX; more++) {
        snprintf(content, sizeof content, "[Server]\nName = %0*d\n", SETTINGS_LINE_MAX - 7 + more, 0);
        assert_refused(content, "test.conf:2: the line is longer than 198 characters");
    }
    snprintf(content, sizeof content, "[Server]\n#%0*d\n", SETTINGS_LINE_MAX + 5, 0);
    assert_refused(content, "test.conf:2: the line is longer than 198 characters");
}

static void bytes_that_are_not_text_are_refused(void **state)
{
    static const char zero[] = "[Server]\nNa\0me = x\n", end[] = "[Server]\nName = x\0";
    struct error why;
    struct found f;

    (void)state;
    assert_false(read_bytes(&f, &why, zero, sizeof zero - 1));
    assert_string_equal(why.text, "test.conf:2: the line holds a zero byte; if the file is "
                                  "UTF-16, save it as UTF-8");
    assert_false(read_bytes(&f, &why, end, sizeof end - 1));
    assert_refused("[Server]\nName = a\033[2Jb\n", "test.conf:2: the line holds a control character");
    assert_refused("[Server]\nName = a\177\n", "test.conf:2: the line holds a control character");
    assert_refused("[Server]\nName = a\rb\n", "test.conf:2: the line holds a control character");
    assert_refused("[Server]\nName = a\vb\n", "test.conf:2: the line holds a control character");
    assert_refused("[Server]\nName = a\302\2332Jb\n",
                   "test.conf:2: the line holds a control character");
    assert_read("[Server]\nName = \303\200\302\240\t-\n", "name=\303\200\302\240\t-|");
}

static void files_that_others_may_write_are_refused(void **state)
{
    struct error why;
    struct found f = {{0}};

    (void)state;
    scratch_write_text("loose.conf", 0666, "[Server]\nName = x\n");
    assert_false(settings_read("loose.conf", FILE_CONFIGURATION, &table, &f, NULL, &why));
    assert_string_equal(f.text, "");
    assert_non_null(strstr(why.text, "chmod go-w loose.conf"));
    assert_false(settings_read("absent.conf", FILE_CONFIGURATION, &table, &f, NULL, &why));
    assert_non_null(strstr(why.text, "absent.conf: No such file"));
}

static bool add_word(void *into, const char *word, struct error *why)
{
    if (strcmp(word, "bad") == 0)
        return error_set(why, "bad word");
    return take(into, "w", word);
}

static void values_part_into_words(void **state)
{
    char overlong[SETTINGS_LINE_MAX + 3];
    struct found f = {{0}};
    struct error why;

    (void)state;
    assert_true(settings_each_word("a, b\tc,d  e,", add_word, &f, &why));
    assert_string_equal(f.text, "w=a|w=b|w=c|w=d|w=e|");
    assert_false(settings_each_word("a bad c", add_word, &f, &why));
    assert_string_equal(why.text, "bad word");
    assert_false(settings_each_word("", add_word, &f, &why));
    assert_false(settings_each_word(" , ,", add_word, &f, &why));
    memset(overlong, 'x', sizeof overlong - 1);
    overlong[sizeof overlong - 1] = '\0';
    assert_false(settings_each_word(overlong, add_word, &f, &why));
}

static void assert_noted(unsigned i, const char *what, const char *advice)
{
    assert_string_equal(notes.first[i].what, what);
    assert_string_equal(notes.first[i].advice, advice);
}

static void old_words_are_taken_with_a_note(void **state)
{
    (void)state;
    assert_read("[Server]\nNumber = 7\nOpen = all\n", "number=7|open=all|");
    assert_int_equal(notes.count, 0);
    assert_read("[Server]\ncount = 7\nOpen = a, tout  totally,tout\nName = tout\n",
                "number=7|open=a, all  totally,all|name=tout|");
    assert_int_equal(notes.count, 3);
    assert_noted(0, "test.conf:2: Count is the old word for Number, and is still taken",
                 "write Number");
    assert_noted(1, "test.conf:3: Open = tout is the old word for all, and is still taken",
                 "write Open = all");
    assert_refused("[Server]\nCount = x\n", "test.conf:2: Number: 'x' is not a number");
    assert_refused("[Server]\nCount = 1\nNumber = 1\n",
                   "test.conf:3: Number is given a second time");
    assert_refused("[Server]\nNumber = 1\nCount = 1\n",
                   "test.conf:3: Number is given a second time");
}

/* A file may say an old word on every line. */
static void only_the_first_notes_are_kept(void **state)
{
    (void)state;
    assert_read("[Server]\nOpen = tout tout tout\nOpen = tout tout tout\n",
                "open=all all all|open=all all all|");
    assert_int_equal(notes.count, 6);
    assert_noted(SETTINGS_NOTES - 1, "test.conf:3: Open = tout is the old word for all, and is "
                                     "still taken", "write Open = all");
}

static void one_key_is_set_as_by_a_line(void **state)
{
    struct found f = {{0}};
    struct error why;

    (void)state;
    memset(&notes, 0, sizeof notes);
    assert_true(settings_set(&table, "--open", "open", "tout", &f, &notes, &why));
    assert_string_equal(f.text, "open=all|");
    assert_noted(0, "--open: Open = tout is the old word for all, and is still taken",
                 "write Open = all");
    assert_false(settings_set(&table, "--colour", "colour", "blue", &f, &notes, &why));
    assert_string_equal(why.text, "unknown key 'colour'");
}

/* A regular file by its mode, and its first page is never there to be read. */
static void a_failed_read_is_told(void **state)
{
    struct error why;
    struct found f;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_false(settings_read("/proc/self/mem", FILE_SECRET, &table, &f, NULL, &why));
    assert_non_null(strstr(why.text, strerror(EIO)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(old_words_are_taken_with_a_note),
        cmocka_unit_test(only_the_first_notes_are_kept),
        cmocka_unit_test(one_key_is_set_as_by_a_line),
        cmocka_unit_test(indentation_is_nothing),
        cmocka_unit_test(a_value_keeps_its_semicolons),
        cmocka_unit_test(mistakes_are_named_with_file_and_line),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(long_lines_are_refused_not_split),
        cmocka_unit_test(bytes_that_are_not_text_are_refused),
        cmocka_unit_test(files_that_others_may_write_are_refused),
        cmocka_unit_test(values_part_into_words),
        cmocka_unit_test(a_failed_read_is_told),
    };

    return cmocka_run_group_tests_name("settings", tests, scratch_enter, scratch_leave);
}
