#include "check.h"

#include <sodium.h>

#include "common/text/sshkey.h"
#include "sshlines.h"

/* The line of a security key of that application, with the public key of PLAIN_LINE. */
static const char *security_line(const char *application, size_t size, char line[static 400])
{
    static const char type[] = "sk-ssh-ed25519@openssh.com";
    uint8_t blob[200] = {0, 0, 0, 26};
    struct ssh_key plain;
    struct error why;
    char text[300];

    assert_true(ssh_key_parse(&plain, PLAIN_LINE, &why));
    memcpy(blob + 4, type, 26);
    blob[33] = KEY_SIZE;
    memcpy(blob + 34, plain.public_key, KEY_SIZE);
    blob[69] = (uint8_t)size;
    memcpy(blob + 70, application, size);
    sodium_bin2base64(text, sizeof text, blob, 70 + size, sodium_base64_VARIANT_ORIGINAL);
    snprintf(line, 400, "%s %s", type, text);
    return line;
}

static void a_plain_key_is_read(void **state)
{
    static const char *const lines[] = {
        PLAIN_LINE " alice@laptop", "  " PLAIN_LINE "\talice@laptop \r\n", PLAIN_LINE "  alice@laptop\n"};
    char line[SSH_KEY_LINE_SIZE];
    struct ssh_key key;
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct signer signer;

        assert_true(ssh_key_parse(&key, lines[i], &why));
        assert_int_equal(key.form, SIGNER_SSH);
        assert_int_equal(key.blob_size, 51);
        assert_memory_equal(key.blob + 19, key.public_key, KEY_SIZE);
        assert_string_equal(key.comment, "alice@laptop");
        assert_string_equal(key.application, "");
        assert_string_equal(ssh_key_format(&key, line), PLAIN_LINE " alice@laptop");
        signer = ssh_key_signer(&key);
        assert_int_equal(signer.form, SIGNER_SSH);
        assert_int_equal(signer.required, 0);
        assert_memory_equal(signer.public_key, key.public_key, KEY_SIZE);
        assert_true(sodium_is_zero(signer.application, sizeof signer.application));
    }
    assert_true(ssh_key_parse(&key, PLAIN_LINE, &why));
    assert_string_equal(key.comment, "");
    assert_string_equal(ssh_key_format(&key, line), PLAIN_LINE);
}

static void a_security_key_is_read(void **state)
{
    char line[400], again[SSH_KEY_LINE_SIZE];
    uint8_t hash[32];
    struct signer signer;
    struct ssh_key key;
    struct error why;

    (void)state;
    assert_true(ssh_key_parse(&key, security_line("ssh:", 4, line), &why));
    assert_int_equal(key.form, SIGNER_SECURITY_KEY);
    assert_int_equal(key.blob_size, 74);
    assert_string_equal(key.application, "ssh:");
    assert_string_equal(ssh_key_format(&key, again), line);
    crypto_hash_sha256(hash, (const uint8_t *)"ssh:", 4);
    signer = ssh_key_signer(&key);
    assert_memory_equal(signer.application, hash, 32);
    assert_int_equal(signer.required, AUTHENTICATOR_TOUCHED);
}

static void applications_are_those_of_ssh(void **state)
{
    static const char longest[] = "ssh:0123456789012345678901234567890123456789012";
    static const uint8_t sizes[] = {48, 49, 100};
    char application[100] = "ssh:";
    char line[400], again[SSH_KEY_LINE_SIZE];
    struct ssh_key key;
    struct error why;

    (void)state;
    assert_true(ssh_key_parse(&key, security_line(longest, strlen(longest), line), &why));
    assert_string_equal(ssh_key_format(&key, again), line);
    memset(application + 4, 'x', sizeof application - 4);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        assert_false(ssh_key_parse(&key, security_line(application, sizes[i], line), &why));
        assert_non_null(strstr(why.text, "has more than 47 characters"));
    }
    security_line(longest, strlen(longest), line);
    strcat(line, "AAAA");
    assert_false(ssh_key_parse(&key, line, &why));
    assert_non_null(strstr(why.text, "damaged"));
    security_line(longest, strlen(longest), line);
    line[strlen(line) - 8] = '\0';
    assert_false(ssh_key_parse(&key, line, &why));
    assert_non_null(strstr(why.text, "damaged"));
    assert_false(ssh_key_parse(&key, security_line("ssh:a\0b", 7, line), &why));
    assert_false(ssh_key_parse(&key, security_line("", 0, line), &why));
    assert_false(ssh_key_parse(&key, security_line("https://x", 9, line), &why));
    assert_non_null(strstr(why.text, "begin with ssh:"));
}

static void comments_are_cut_and_made_printable(void **state)
{
    char line[SSH_KEY_LINE_SIZE], text[500], security[400];
    struct ssh_key key;
    struct error why;

    (void)state;
    assert_true(ssh_key_parse(&key, PLAIN_LINE " a\x1b[2Jb c", &why));
    assert_string_equal(key.comment, "a?[2Jb c");
    snprintf(text, sizeof text, "%s %0200d", PLAIN_LINE, 1);
    assert_true(ssh_key_parse(&key, text, &why));
    assert_int_equal(strlen(key.comment), SSH_COMMENT_SIZE - 1);
    snprintf(text, sizeof text, "%s %070d", security_line("ssh:0123456789", 14, security), 1);
    assert_true(ssh_key_parse(&key, text, &why));
    assert_true(strlen(ssh_key_format(&key, line)) < SSH_KEY_LINE_SIZE);
    assert_true(ssh_key_parse(&key, line, &why));
}

static void keys_of_other_types_are_told_which_would_do(void **state)
{
    static const struct { const char *line, *says; } cases[] = {
        {ECDSA_LINE " e", "a key of type ecdsa-sha2-nistp256 cannot knock"},
        {"ssh-rsa AAAAB3NzaC1yc2E me", "ssh-rsa cannot knock: take a key of ssh-keygen -t ed25519"},
        {"sk-ecdsa-sha2-nistp256@openssh.com AAAA me", "-t ed25519-sk"},
        {"ssh-dss AAAA", "ssh-dss cannot knock"},
        {"ssh-ed25519-cert-v01@openssh.com AAAA me", "is a certificate, which cannot knock"},
        {"sk-ssh-ed25519-cert-v01@openssh.com AAAA me", "is a certificate"},
        {"", "not a line of an ssh key"},
        {"from=\"*\" " PLAIN_LINE, "not a line of an ssh key"},
        {"ED25519 key", "not a line of an ssh key"},
    };
    struct ssh_key key;
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_false(ssh_key_parse(&key, cases[i].line, &why));
        if (!strstr(why.text, cases[i].says))
            fail_msg("%s: %s", cases[i].line, why.text);
    }
    assert_true(ssh_key_is_line(PLAIN_LINE));
    assert_true(ssh_key_is_line(ECDSA_LINE));
    assert_false(ssh_key_is_line("/root/.ssh/authorized_keys"));
}

static void damaged_lines_are_refused(void **state)
{
    char text[] = PLAIN_LINE;
    struct ssh_key key;
    struct error why;

    (void)state;
    assert_false(ssh_key_parse(&key, "ssh-ed25519", &why));
    for (size_t size = sizeof "ssh-ed25519"; size < sizeof text - 1; size++) {
        char *cut = strndup(text, size);

        assert_false(ssh_key_parse(&key, cut, &why));
        assert_non_null(strstr(why.text, "damaged"));
        free(cut);
    }
    assert_false(ssh_key_parse(&key, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkpE2cBm+H+RMnmFfuD"
                                     "jMlSZY6LNWfSNvKLC/s+TwiwAAAA", &why));
    assert_false(ssh_key_parse(&key, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAA"
                                     "AAAAAAAAAAAAAAAAAAAAAAAA", &why));
}

static int start_sodium(void **state)
{
    (void)state;
    return sodium_init() < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_key_is_read),
        cmocka_unit_test(a_security_key_is_read),
        cmocka_unit_test(applications_are_those_of_ssh),
        cmocka_unit_test(comments_are_cut_and_made_printable),
        cmocka_unit_test(keys_of_other_types_are_told_which_would_do),
        cmocka_unit_test(damaged_lines_are_refused),
    };

    return cmocka_run_group_tests_name("sshkey", tests, start_sodium, NULL);
}
