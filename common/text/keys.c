#include "common/text/keys.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "common/file.h"

enum { KEY_FILE_SIZE = 3 + KEY_TEXT_SIZE - 1 + 2 }; /* a byte order mark, the key, CR and LF */

bool key_parse(uint8_t key[static KEY_SIZE], const char *text, struct error *why)
{
    char again[KEY_TEXT_SIZE];
    size_t size;
    bool valid;

    valid = strlen(text) == KEY_TEXT_SIZE - 1 &&
            sodium_base642bin(key, KEY_SIZE, text, KEY_TEXT_SIZE - 1, NULL, &size, NULL,
                              sodium_base64_VARIANT_ORIGINAL) == 0 &&
            size == KEY_SIZE &&
            sodium_memcmp(key_format(key, again), text, KEY_TEXT_SIZE - 1) == 0;
    sodium_memzero(again, sizeof again);
    /* The text may be a secret, so the message does not repeat it. */
    return valid || error_set(why, "not a key: expected 44 characters of base64 (32 bytes)");
}

const char *key_format(const uint8_t key[static KEY_SIZE], char text[static KEY_TEXT_SIZE])
{
    return sodium_bin2base64(text, KEY_TEXT_SIZE, key, KEY_SIZE, sodium_base64_VARIANT_ORIGINAL);
}

/* Cuts off the newline, or the carriage return and the newline, that a line ends with: the same
 * that files of settings may have. */
static void cut_line_end(char *text)
{
    size_t size = strlen(text);

    if (size == 0 || text[size - 1] != '\n')
        return;
    text[--size] = '\0';
    if (size > 0 && text[size - 1] == '\r')
        text[size - 1] = '\0';
}

bool key_file_read(const char *path, uint8_t key[static KEY_SIZE], struct error *why)
{
    char text[KEY_FILE_SIZE + 1] = "";
    ssize_t n = file_read(path, FILE_SECRET, text, KEY_FILE_SIZE, why);
    bool is_read = n >= 0 || errno == EFBIG, valid = n >= 0 && strlen(text) == (size_t)n;
    struct error unused;

    cut_line_end(text);
    valid = valid && key_parse(key, file_text(text), &unused);
    sodium_memzero(text, sizeof text);
    if (is_read && !valid) {
        errno = EINVAL; /* it may be ENOENT from before */
        error_set(why, "%s:1: not a key: expected one line of 44 characters of base64 (32 bytes), "
                       "and nothing else", path);
    }
    return valid;
}

bool key_file_create(const char *path, const uint8_t key[static KEY_SIZE], struct error *why)
{
    char text[KEY_TEXT_SIZE];
    bool made;

    key_format(key, text);
    text[KEY_TEXT_SIZE - 1] = '\n';
    made = file_create(path, 0600, text, sizeof text, why);
    sodium_memzero(text, sizeof text);
    return made;
}

bool key_file_have(const char *path, uint8_t key[static KEY_SIZE], bool *made, struct error *why)
{
    randombytes_buf(key, KEY_SIZE);
    *made = key_file_create(path, key, why);
    return *made || (errno == EEXIST && key_file_read(path, key, why));
}

/* Converting includes the checks. Nothing has to look for a second form of a key: second forms
 * exist only for points that are not of full order. */
bool key_convert_public(uint8_t point[static KEY_SIZE],
                        const uint8_t client_public[static KEY_SIZE])
{
    return crypto_sign_ed25519_pk_to_curve25519(point, client_public) == 0;
}

void key_expand_client(uint8_t signing[static SIGNING_KEY_SIZE],
                       const uint8_t secret[static KEY_SIZE])
{
    uint8_t unused[KEY_SIZE];

    crypto_sign_seed_keypair(unused, signing, secret);
}

bool key_server_public(uint8_t server_public[static KEY_SIZE],
                       const uint8_t secret[static KEY_SIZE])
{
    return crypto_scalarmult_base(server_public, secret) == 0;
}
