#include "check.h"

#include <sodium.h>

#include "daemon/portsmith-profile/answer.h"
#include "daemon/portsmith-profile/qrcode.h"
#include "sshlines.h"

#define KEY "1XbnOG2CKQub6kVX08e6KdsIH93++4WCxcrZWszsPZc="

static struct error why;

/* Reads the text as the input, of `size` bytes. */
static bool is_read(struct profile_draft *draft, const char *text, size_t size)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, size, "r");
    bool ok;

    assert_non_null(in);
    profile_begin(draft);
    ok = answer_read(draft, in, &why);
    fclose(in);
    return ok;
}

static void a_line_is_a_key(void **state)
{
    static const char *const lines[] = {KEY, KEY "\n", "\t " KEY " \r\n", "x\n\n" KEY "\n",
                                       KEY "\nx\n"};
    struct profile_draft draft;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_true(is_read(&draft, lines[i], strlen(lines[i])));
        assert_int_equal(draft.policy.signer.form, SIGNER_NATIVE);
        assert_false(sodium_is_zero(draft.policy.signer.public_key, KEY_SIZE));
    }
    assert_true(is_read(&draft, PLAIN_LINE "\n", sizeof PLAIN_LINE));
    assert_int_equal(draft.policy.signer.form, SIGNER_SSH);
    assert_non_null(draft.profile.ssh_key);
}

static void no_other_line_is(void **state)
{
    static const char zero[] = KEY "\0\n";
    static const char tries[] = "1\n2\n3\n4\n5\n" KEY "\n";
    char longest[ANSWER_SIZE + sizeof KEY];
    struct profile_draft draft;

    (void)state;
    assert_false(is_read(&draft, "x\n", 2));
    assert_string_equal(why.text, "standard input: there is no public key in it");
    assert_false(is_read(&draft, zero, sizeof zero - 1));
    assert_false(is_read(&draft, tries, sizeof tries - 1));
    assert_string_equal(why.text, "standard input: no public key in the first 5 lines");
    memset(longest, ' ', sizeof longest);
    memcpy(longest, KEY, sizeof KEY - 1);
    assert_false(is_read(&draft, longest, sizeof longest));
    longest[ANSWER_SIZE - 2] = '\n';
    assert_true(is_read(&draft, longest, sizeof longest));
}

static void no_code_holds_a_long_text(void **state)
{
    char text[3000];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(qrcode_print(text, &why));
    assert_string_equal(why.text, "no QR code can be made: the text is too long");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_key),
        cmocka_unit_test(no_other_line_is),
        cmocka_unit_test(no_code_holds_a_long_text),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
