#include "check.h"

#include <sodium.h>

#include "daemon/host/origin.h"

#define ID "c58f0a3b9d1e4c6fa7b2d3e4f5061728"
#define OTHER_ID "c58f0a3b9d1e4c6fa7b2d3e4f5061729"

static bool note_of(const char *machine_id, char note[static ORIGIN_NOTE_SIZE])
{
    scratch_write_text("machine-id", 0444, machine_id);
    return origin_note(note, "machine-id");
}

static void a_host_has_a_note_that_no_other_has_and_that_hides_its_id(void **state)
{
    char note[ORIGIN_NOTE_SIZE], again[ORIGIN_NOTE_SIZE], other[ORIGIN_NOTE_SIZE];

    (void)state;
    assert_true(note_of(ID "\n", note));
    assert_int_equal(strlen(note), ORIGIN_NOTE_SIZE - 1);
    assert_int_equal(strspn(note, "0123456789abcdef"), 32);
    assert_string_equal(note + 32, "\n");
    assert_null(strstr(note, "c58f"));
    assert_true(note_of(ID, again));
    assert_string_equal(again, note);
    assert_true(note_of(OTHER_ID "\n", other));
    assert_string_not_equal(other, note);
}

/* It is kept for years: another version has to make the same one. */
static void the_note_stays_what_it_is(void **state)
{
    char note[ORIGIN_NOTE_SIZE];

    (void)state;
    assert_true(note_of(ID "\n", note));
    assert_string_equal(note, "bc80157704a43b4670ae7c19cf5d2e60\n");
}

static void a_host_without_an_id_has_no_note(void **state)
{
    static const char *const none[] = {"", "\n", "uninitialized\n", "00000000000000000000000000000000\n",
                                       "C58F0A3B9D1E4C6FA7B2D3E4F5061728\n",
                                       "c58f0a3b9d1e4c6fa7b2d3e4f506172\n", ID "0\n"};
    char note[ORIGIN_NOTE_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(none); i++)
        assert_false(note_of(none[i], note));
    assert_int_equal(unlink("machine-id"), 0);
    assert_false(origin_note(note, "machine-id"));
    assert_int_equal(mkfifo("machine-id", 0600), 0);
    assert_false(origin_note(note, "machine-id"));
}

#define SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_enter, scratch_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH(a_host_has_a_note_that_no_other_has_and_that_hides_its_id),
        SCRATCH(the_note_stays_what_it_is),
        SCRATCH(a_host_without_an_id_has_no_note),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
