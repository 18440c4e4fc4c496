#include "check.h"

#include <errno.h>
#include <sodium.h>

#include "common/text/keys.h"

static void every_key_survives_its_text(void **state)
{
    uint8_t key[KEY_SIZE], again[KEY_SIZE];
    char text[KEY_TEXT_SIZE];
    struct error why;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        randombytes_buf(key, sizeof key);
        assert_true(key_parse(again, key_format(key, text), &why));
        assert_memory_equal(again, key, KEY_SIZE);
    }
}

static void one_text_only_is_a_key(void **state)
{
    static const char *const texts[] = {
        "",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",   /* no padding */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",  /* bits beyond the 32nd byte */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",  /* 33 bytes */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",  /* 31 bytes */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ", /* something after it */
        " AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAA=",
        "________________________________-----------=",  /* the other alphabet */
        "not a key at all, but as long as one would be",
    };
    uint8_t key[KEY_SIZE];
    struct error why;

    (void)state;
    assert_true(key_parse(key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &why));
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (key_parse(key, texts[i], &why))
            fail_msg("'%s' was taken for a key", texts[i]);
}

static void files_are_made_tight_and_read_back(void **state)
{
    uint8_t key[KEY_SIZE], again[KEY_SIZE];
    struct error why;
    struct stat s;

    (void)state;
    randombytes_buf(key, sizeof key);
    umask(0);
    assert_true(key_file_create("server.key", key, &why));
    assert_int_equal(stat("server.key", &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(s.st_size, KEY_TEXT_SIZE);
    assert_true(key_file_read("server.key", again, &why));
    assert_memory_equal(again, key, KEY_SIZE);
}

static void a_key_file_is_never_replaced(void **state)
{
    uint8_t key[KEY_SIZE] = {1}, other[KEY_SIZE] = {2}, again[KEY_SIZE];
    struct error why;

    (void)state;
    assert_true(key_file_create("kept.key", key, &why));
    assert_false(key_file_create("kept.key", other, &why));
    assert_int_equal(errno, EEXIST);
    assert_true(key_file_read("kept.key", again, &why));
    assert_memory_equal(again, key, KEY_SIZE);
}

static void bad_key_files_are_refused_with_their_name(void **state)
{
    static const char good[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    static const struct {
        const char *content;
        mode_t mode;
        const char *says;
    } files[] = {
        {good, 0640, "chmod 600 bad.key"},
        {good, 0604, "chmod 600 bad.key"},
        {good, 0620, "chmod 600 bad.key"},
        {"", 0600, "bad.key:1: not a key"},
        {"AAAA=\n", 0600, "bad.key:1: not a key"},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n", 0600, "one line of 44"},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r", 0600, "one line of 44"},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nand more than that",
         0600, "bad.key:1: not a key: expected one line of 44"},
        {"\xef\xbb\xbf\xef\xbb\xbf" "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0600,
         "one line of 44"},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=x", 0600, "bad.key:1: not a key"},
    };
    uint8_t key[KEY_SIZE];
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        scratch_write_text("bad.key", files[i].mode, files[i].content);
        errno = ENOENT;
        assert_false(key_file_read("bad.key", key, &why));
        assert_int_not_equal(errno, ENOENT);
        if (!strstr(why.text, files[i].says))
            fail_msg("said '%s', not '%s'", why.text, files[i].says);
    }
    scratch_write("bad.key", 0600, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\0\n", 46);
    assert_false(key_file_read("bad.key", key, &why));
}

/* As editors leave it: without a newline, with another system's, or with a mark before it. */
static void a_key_file_may_come_from_any_editor(void **state)
{
    static const char *const contents[] = {
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
        "\xef\xbb\xbf" "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"};
    static const uint8_t expected[KEY_SIZE];
    uint8_t key[KEY_SIZE];
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        scratch_write_text("any.key", 0600, contents[i]);
        memset(key, 1, sizeof key);
        if (!key_file_read("any.key", key, &why))
            fail_msg("refused: %s", why.text);
        assert_memory_equal(key, expected, sizeof key);
    }
}

static void messages_never_repeat_a_key(void **state)
{
    static const char secret[] = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ISEh0!!=";
    uint8_t key[KEY_SIZE];
    struct error why;

    (void)state;
    assert_false(key_parse(key, secret, &why));
    assert_null(strstr(why.text, "c2VjcmV0"));
    scratch_write_text("secret.key", 0600, secret);
    assert_false(key_file_read("secret.key", key, &why));
    assert_null(strstr(why.text, "c2VjcmV0"));
}

/* Is it converted as libsodium says, and only if libsodium also calls it valid? */
static bool is_converted(const uint8_t key[static KEY_SIZE])
{
    uint8_t point[KEY_SIZE], expected[KEY_SIZE];
    bool converted = key_convert_public(point, key);

    assert_int_equal(converted, crypto_core_ed25519_is_valid_point(key));
    if (converted) {
        assert_int_equal(crypto_sign_ed25519_pk_to_curve25519(expected, key), 0);
        assert_memory_equal(point, expected, KEY_SIZE);
    }
    return converted;
}

static void public_keys_off_the_curve_are_refused(void **state)
{
    static const uint8_t identity[KEY_SIZE] = {1}, zero[KEY_SIZE] = {0};
    uint8_t seed[KEY_SIZE], signing[SIGNING_KEY_SIZE], bad[KEY_SIZE];
    unsigned refused = 0;

    (void)state;
    assert_false(is_converted(identity));
    assert_false(is_converted(zero));
    for (int i = 0; i < 50; i++) {
        randombytes_buf(seed, sizeof seed);
        key_expand_client(signing, seed);
        assert_true(is_converted(signing + KEY_SIZE));
        randombytes_buf(bad, sizeof bad);
        refused += !is_converted(bad);
    }
    assert_true(refused > 25); /* random bytes: 15 of 16 are no key */
}

/* The sum of a key and a point of order 8 is on the curve, but of no full order. */
static void public_keys_of_another_order_are_refused(void **state)
{
    static const uint8_t of_order_8[KEY_SIZE] = {
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05};
    uint8_t seed[KEY_SIZE] = {1}, signing[SIGNING_KEY_SIZE], key[KEY_SIZE];

    (void)state;
    key_expand_client(signing, seed);
    memcpy(key, signing + KEY_SIZE, KEY_SIZE);
    for (int i = 1; i < 8; i++) {
        assert_int_equal(crypto_core_ed25519_add(key, key, of_order_8), 0);
        assert_false(is_converted(key));
    }
    assert_int_equal(crypto_core_ed25519_add(key, key, of_order_8), 0);
    assert_true(is_converted(key));
}

/* Of 0 to 18 there is a second form below 2^255, which is 2^255 - 19 higher. */
static void public_keys_have_one_form(void **state)
{
    (void)state;
    for (uint8_t y = 0; y < 19; y++) {
        for (unsigned sign = 0; sign < 0x100; sign += 0x80) {
            uint8_t higher[KEY_SIZE];

            memset(higher, 0xff, sizeof higher);
            higher[0] = (uint8_t)(0xed + y);
            higher[KEY_SIZE - 1] = (uint8_t)(0x7f | sign);
            assert_false(is_converted(higher));
        }
    }
}

static int start(void **state)
{
    return sodium_init() < 0 ? -1 : scratch_enter(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_survives_its_text),
        cmocka_unit_test(one_text_only_is_a_key),
        cmocka_unit_test(files_are_made_tight_and_read_back),
        cmocka_unit_test(a_key_file_is_never_replaced),
        cmocka_unit_test(bad_key_files_are_refused_with_their_name),
        cmocka_unit_test(a_key_file_may_come_from_any_editor),
        cmocka_unit_test(messages_never_repeat_a_key),
        cmocka_unit_test(public_keys_off_the_curve_are_refused),
        cmocka_unit_test(public_keys_of_another_order_are_refused),
        cmocka_unit_test(public_keys_have_one_form),
    };

    return cmocka_run_group_tests_name("keys", tests, start, scratch_leave);
}
