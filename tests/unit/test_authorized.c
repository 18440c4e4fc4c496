#include "check.h"

#include <sodium.h>

#include "daemon/portsmith-profile/authorized.h"
#include "sshlines.h"

static struct error why;

static void assert_refused(const char *line, const char *says)
{
    struct authorized_key key;

    assert_false(authorized_parse(&key, line, &why));
    if (!strstr(why.text, says))
        fail_msg("%s: said '%s', not '%s'", line, why.text, says);
}

static void lines_without_options_are_read(void **state)
{
    struct authorized_key key;

    (void)state;
    assert_true(authorized_parse(&key, " " PLAIN_LINE " alice@laptop\n", &why));
    assert_int_equal(key.key.form, SIGNER_SSH);
    assert_string_equal(key.key.comment, "alice@laptop");
    assert_string_equal(key.address, "");
    assert_string_equal(key.expires, "");
    assert_null(key.require);
    assert_true(authorized_is_blank(" \t\n") && authorized_is_blank(" # " PLAIN_LINE));
    assert_false(authorized_is_blank(PLAIN_LINE));
}

static void options_are_translated(void **state)
{
    struct authorized_key key;

    (void)state;
    assert_true(authorized_parse(
        &key, "FROM=\"192.0.2.0/24,2001:db8::1\",expiry-time=\"20270201Z\"\t" PLAIN_LINE, &why));
    assert_string_equal(key.address, "192.0.2.0/24,2001:db8::1");
    assert_string_equal(key.expires, "2027-01-31");
    assert_false(key.is_shortened);
    assert_true(authorized_parse(&key, "expiry-time=\"202702010001Z\" " PLAIN_LINE, &why));
    assert_string_equal(key.expires, "2027-01-31");
    assert_true(key.is_shortened);
    assert_true(authorized_parse(&key, "expiry-time=\"20270201235959z\" " PLAIN_LINE, &why));
    assert_string_equal(key.expires, "2027-01-31");
    assert_true(authorized_parse(&key, "no-touch-required " SECURITY_LINE, &why));
    assert_string_equal(key.require, "none");
    assert_true(authorized_parse(&key, "verify-required,Verify-Required " SECURITY_LINE, &why));
    assert_string_equal(key.require, "pin");
}

/* sshd takes times without a Z for local ones. */
static void times_are_local(void **state)
{
    struct authorized_key key;

    (void)state;
    setenv("TZ", "UTC-2", 1); /* two hours east */
    tzset();
    assert_true(authorized_parse(&key, "expiry-time=\"20270201\" " PLAIN_LINE, &why));
    assert_string_equal(key.expires, "2027-01-30");
    assert_true(key.is_shortened);
    assert_true(authorized_parse(&key, "expiry-time=\"202702010200\" " PLAIN_LINE, &why));
    assert_string_equal(key.expires, "2027-01-31");
    assert_false(key.is_shortened);
    unsetenv("TZ");
    tzset();
}

static void other_options_are_refused(void **state)
{
    static const struct { const char *line, *says; } cases[] = {
        {"restrict " PLAIN_LINE, "option restrict cannot be kept"},
        {"command=\"echo \\\"hi, there\\\" now\" " PLAIN_LINE, "option command cannot be kept"},
        {"from=\"10.0.0.0/8\",no-pty " PLAIN_LINE, "option no-pty cannot be kept"},
        {"from " PLAIN_LINE, "option from cannot be kept"},
        {"verify-required=\"1\" " SECURITY_LINE, "option verify-required cannot be kept"},
        {"cert-authority " PLAIN_LINE, "option cert-authority cannot be kept"},
        {"from=\"*.example.com\" " PLAIN_LINE, "'*.example.com' is not an address"},
        {"from=\"!192.0.2.1,192.0.2.0/24\" " PLAIN_LINE, "'!192.0.2.1' is not an address"},
        {"from=\"192.0.2.?\" " PLAIN_LINE, "'192.0.2.?' is not an address"},
        {"from=\"\" " PLAIN_LINE, "option from: expected addresses with commas between"},
        {"from=\"192.0.2.1 192.0.2.2\" " PLAIN_LINE, "commas between, and no blanks"},
        {"from=\"192.0.2.1,\t192.0.2.2\" " PLAIN_LINE, "and no blanks"},
        {"from=\"192.0.2.1,\" " PLAIN_LINE, "and no blanks"},
        {"from=\",192.0.2.1\" " PLAIN_LINE, "and no blanks"},
        {"from=\"192.0.2.1,,192.0.2.2\" " PLAIN_LINE, "and no blanks"},
        {"from=\"192.0.2.1\",From=\"192.0.2.2\" " PLAIN_LINE, "option from is there twice"},
        {"expiry-time=\"20270101Z\",expiry-time=\"20370101Z\" " PLAIN_LINE,
         "option expiry-time is there twice"},
        {"from=\"any\" " PLAIN_LINE, "'any' is not an address"},
        {"expiry-time=\"tomorrow\" " PLAIN_LINE, "'tomorrow' is not a time"},
        {"expiry-time=\"2027020\" " PLAIN_LINE, "is not a time"},
        {"expiry-time=\"20271301\" " PLAIN_LINE, "is not a time"},
        {"expiry-time=\"19700101Z\" " PLAIN_LINE, "is not a time"},
        {"verify-required " PLAIN_LINE, "verify-required is for a security key"},
        {"no-touch-required " PLAIN_LINE, "no-touch-required is for a security key"},
        {"no-touch-required,verify-required " SECURITY_LINE, "exclude each other"},
        {"from=\"192.0.2.1 " PLAIN_LINE, "the quote that ends its value is missing"},
        {"from=192.0.2.1 " PLAIN_LINE, "expected its value in quotes"},
        {"from=\"192.0.2.1\"", "expected a key behind option from"},
        {"from=\"192.0.2.1\"x " PLAIN_LINE, "expected a key behind option from"},
        {"from=\"192.0.2.1\", " PLAIN_LINE, "not a line of authorized_keys"},
        {"no-touch-required " ECDSA_LINE, "a key of type ecdsa-sha2-nistp256 cannot knock"},
        {"/root/.ssh/id", "not a line of authorized_keys"},
    };
    char line[1000];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_refused(cases[i].line, cases[i].says);
    snprintf(line, sizeof line, "from=\"%0500d\" %s", 1, PLAIN_LINE);
    assert_refused(line, "option from: its value is longer than 399 characters");
    snprintf(line, sizeof line, "%040d %s", 1, PLAIN_LINE);
    assert_refused(line, "not a line of authorized_keys");
}

static void files_are_read(void **state)
{
    struct authorized_key *keys;
    size_t count;

    (void)state;
    scratch_write_text("keys", 0644, "# mine\n\n" PLAIN_LINE " a b\r\nno-touch-required "
                                     SECURITY_LINE);
    assert_true(authorized_read(&keys, &count, "keys", &why));
    assert_int_equal(count, 2);
    assert_string_equal(keys[0].key.comment, "a b");
    assert_int_equal(keys[0].line, 3);
    assert_int_equal(keys[1].key.form, SIGNER_SECURITY_KEY);
    assert_int_equal(keys[1].line, 4);
    free(keys);
    assert_true(authorized_read(&keys, &count, "no-touch-required " SECURITY_LINE " me", &why));
    assert_int_equal(count, 1);
    free(keys);
}

static void assert_file_refused(const char *says)
{
    struct authorized_key *keys;
    size_t count;

    assert_false(authorized_read(&keys, &count, "keys", &why));
    assert_null(keys);
    if (!strstr(why.text, says))
        fail_msg("said '%s', not '%s'", why.text, says);
}

static void wrong_files_are_refused(void **state)
{
    static char text[(AUTHORIZED_KEYS_MAX + 1) * sizeof PLAIN_LINE + 1];
    struct authorized_key *keys;
    size_t count;

    (void)state;
    assert_file_refused("keys: ");
    scratch_write_text("keys", 0644, "# nothing\n");
    assert_file_refused("keys: there is no key in it");
    scratch_write_text("keys", 0644, PLAIN_LINE "\n" ECDSA_LINE "\n");
    assert_file_refused("keys:2: a key of type ecdsa-sha2-nistp256 cannot knock");
    scratch_write("keys", 0644, PLAIN_LINE " a\0b\n", sizeof PLAIN_LINE + 5);
    assert_file_refused("keys:1: the line holds a zero byte");
    memset(text, 'a', AUTHORIZED_LINE_SIZE);
    text[AUTHORIZED_LINE_SIZE] = '\0';
    scratch_write_text("keys", 0644, text);
    assert_file_refused("keys:1: the line is longer than 16382 characters");
    text[0] = '\0';
    for (size_t i = 0; i <= AUTHORIZED_KEYS_MAX; i++)
        memcpy(text + i * sizeof PLAIN_LINE, PLAIN_LINE "\n", sizeof PLAIN_LINE);
    scratch_write_text("keys", 0644, text);
    assert_file_refused("keys:1001: more than 1000 keys");
    assert_false(authorized_read(&keys, &count, "not a key", &why));
    assert_non_null(strstr(why.text, "--ssh-key:1: "));
    assert_false(authorized_read(&keys, &count, ".", &why));
}

static void a_profile_says_what_the_line_says(void **state)
{
    static struct profile_draft draft;
    struct authorized_key key;

    (void)state;
    assert_true(authorized_parse(&key, "from=\"192.0.2.0/24\",expiry-time=\"20270201Z\","
                                       "verify-required " SECURITY_LINE, &why));
    profile_begin(&draft);
    assert_true(authorized_apply(&key, &draft, &why));
    assert_int_equal(draft.policy.prefix_count, 1);
    assert_int_equal(draft.policy.expires, 1801440000);
    assert_int_equal(draft.policy.signer.form, SIGNER_SECURITY_KEY);
    assert_int_equal(draft.policy.signer.required, AUTHENTICATOR_TOUCHED | AUTHENTICATOR_VERIFIED);
    for (int i = 0; i < 3; i++) {
        static const char *const said[3][2] = {
            {"Address", "any"}, {"Expires", "2030-01-01"}, {"Require", "touch"}};
        struct settings_notes notes = {0};

        profile_begin(&draft);
        assert_true(profile_set(&draft, "", said[i][0], said[i][1], &notes, &why));
        assert_false(authorized_apply(&key, &draft, &why));
        assert_non_null(strstr(why.text, said[i][0]));
        assert_non_null(strstr(why.text, "take one of them out"));
    }
}

static void comments_make_names(void **state)
{
    static const struct { const char *comment, *name; } cases[] = {
        {"alice@laptop", "alice-laptop"}, {"Bob's Key (2027)", "bob-s-key-2027"},
        {"", "key-1"}, {"@@", "key-1"}, {"  x  ", "x"},
        {"a234567890b234567890c234567890-d234", "a234567890b234567890c234567890-d"},
        {"a234567890b234567890c234567890d@x", "a234567890b234567890c234567890d"},
    };
    char line[200], name[POLICY_NAME_SIZE];
    struct authorized_key key;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(line, sizeof line, "%s %s", PLAIN_LINE, cases[i].comment);
        assert_true(authorized_parse(&key, line, &why));
        authorized_name(name, &key);
        assert_string_equal(name, cases[i].name);
        assert_true(profile_name_is_valid(name));
    }
}

static int start_sodium(void **state)
{
    (void)state;
    return sodium_init() < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_without_options_are_read),
        cmocka_unit_test(options_are_translated),
        cmocka_unit_test(times_are_local),
        cmocka_unit_test(other_options_are_refused),
        cmocka_unit_test_setup_teardown(files_are_read, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(wrong_files_are_refused, scratch_enter, scratch_leave),
        cmocka_unit_test(a_profile_says_what_the_line_says),
        cmocka_unit_test(comments_make_names),
    };

    return cmocka_run_group_tests_name("authorized", tests, start_sodium, NULL);
}
