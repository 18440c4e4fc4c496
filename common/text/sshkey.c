#include "common/text/sshkey.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/bytes.h"
#include "common/printable.h"
#include "common/text/keys.h"

static const char type_plain[] = "ssh-ed25519";
static const char type_security[] = "sk-ssh-ed25519@openssh.com";
static const char blanks[] = " \t\r\n";

#define WHICH_WOULD_DO "a key of ssh-keygen -t ed25519, or of a security key by -t ed25519-sk"

/* ---- types ---------------------------------------------------------------- */

/* Whether a word, which ends at a blank, is that type. */
static bool is_type(const char *word, const char *type)
{
    size_t size = strlen(type);

    return strncmp(word, type, size) == 0 && (!word[size] || strchr(blanks, word[size]));
}

bool ssh_key_is_line(const char *text)
{
    static const char *const starts[] = {"ssh-", "sk-ssh-", "ecdsa-sha2-", "sk-ecdsa-sha2-"};

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(text, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static bool refuse_type(const char *word, struct error *why)
{
    int size = (int)strcspn(word, blanks);

    if (size == 0 || !ssh_key_is_line(word))
        return error_set(why, "not a line of an ssh key: expected ssh-ed25519 AAAA..., or "
                              "sk-ssh-ed25519@openssh.com AAAA...");
    if (memmem(word, (size_t)size, "-cert-", 6))
        return error_set(why, "%.*s is a certificate, which cannot knock: take the line of the "
                              "key itself, from the file that ends with .pub, not -cert.pub",
                         size < 60 ? size : 60, word);
    return error_set(why, "a key of type %.*s cannot knock: take " WHICH_WOULD_DO,
                     size < 60 ? size : 60, word);
}

/* ---- the base64 ------------------------------------------------------------ */

/* Takes a string, which stands behind its size in four bytes. NULL if there is none whole. */
static const uint8_t *take_string(const struct ssh_key *key, size_t *at, size_t *size)
{
    const uint8_t *b = key->blob + *at;

    if (key->blob_size - *at < 4)
        return NULL;
    *size = load_be32(b);
    if (*size > key->blob_size - *at - 4)
        return NULL;
    *at += 4 + *size;
    return b + 4;
}

static bool take_type(const struct ssh_key *key, size_t *at)
{
    const char *type = key->form == SIGNER_SSH ? type_plain : type_security;
    size_t size;
    const uint8_t *found = take_string(key, at, &size);

    return found && size == strlen(type) && memcmp(found, type, size) == 0;
}

static bool take_public_key(struct ssh_key *key, size_t *at)
{
    size_t size;
    const uint8_t *found = take_string(key, at, &size);

    if (!found || size != KEY_SIZE)
        return false;
    memcpy(key->public_key, found, KEY_SIZE);
    return true;
}

/* A key that a web site made has the site as its application: such keys sign logins there. */
static bool take_application(struct ssh_key *key, size_t *at, struct error *why)
{
    size_t size = 0; /* read even where the blob, which was cut, does not hold the whole string */
    const uint8_t *found = take_string(key, at, &size);

    if (size >= SSH_APPLICATION_SIZE)
        return error_set(why, "the application of the security key has more than %d characters; "
                              "make a key with a shorter -O application=ssh:...",
                         SSH_APPLICATION_SIZE - 1);
    if (!found)
        return error_set(why, "the base64 of the ssh key is damaged; copy the line anew");
    memcpy(key->application, found, size);
    if (strlen(key->application) != size || strncmp(key->application, "ssh:", 4) != 0)
        return error_set(why, "the application of the security key does not begin with ssh: and "
                              "so it is not a key for ssh; make one with ssh-keygen -t ed25519-sk");
    crypto_hash_sha256(key->application_hash, found, size);
    return true;
}

/* A blob that has no room is read as far as there is room: the sizes in it say why it is too
 * long. */
static bool read_blob(struct ssh_key *key, const char *text, size_t size, struct error *why)
{
    enum { READ_MAX = SSH_KEY_BLOB_MAX / 3 * 4 }; /* of the text */
    uint8_t point[KEY_SIZE];
    size_t at = 0;

    _Static_assert(SSH_KEY_BLOB_MAX % 3 == 0, "text that is cut there needs no padding");
    if (sodium_base642bin(key->blob, sizeof key->blob, text, size < READ_MAX ? size : READ_MAX,
                          NULL, &key->blob_size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        !take_type(key, &at) || !take_public_key(key, &at))
        return error_set(why, "the base64 of the ssh key is damaged; copy the line anew");
    if (key->form == SIGNER_SECURITY_KEY && !take_application(key, &at, why))
        return false;
    if (at != key->blob_size || size > READ_MAX || !key_convert_public(point, key->public_key))
        return error_set(why, "the base64 of the ssh key is damaged; copy the line anew");
    return true;
}

/* ---- lines ------------------------------------------------------------------ */

bool ssh_key_parse(struct ssh_key *key, const char *line, struct error *why)
{
    const char *text = line + strspn(line, blanks);
    size_t size;

    memset(key, 0, sizeof *key);
    if (is_type(text, type_plain))
        key->form = SIGNER_SSH;
    else if (is_type(text, type_security))
        key->form = SIGNER_SECURITY_KEY;
    else
        return refuse_type(text, why);
    text += strcspn(text, blanks);
    text += strspn(text, blanks);
    size = strcspn(text, blanks);
    if (!read_blob(key, text, size, why))
        return false;
    text += size;
    text += strspn(text, blanks);
    size = strlen(text);
    while (size > 0 && strchr(blanks, text[size - 1]))
        size--;
    snprintf(key->comment, sizeof key->comment, "%.*s", (int)size, text);
    printable(key->comment);
    return true;
}

const char *ssh_key_format(const struct ssh_key *key, char line[static SSH_KEY_LINE_SIZE])
{
    const char *type = key->form == SIGNER_SSH ? type_plain : type_security;
    char text[sodium_base64_ENCODED_LEN(SSH_KEY_BLOB_MAX, sodium_base64_VARIANT_ORIGINAL)];
    int size;

    _Static_assert(sizeof type_security + sizeof text <= SSH_KEY_LINE_SIZE, "the key has room");
    sodium_bin2base64(text, sizeof text, key->blob, key->blob_size, sodium_base64_VARIANT_ORIGINAL);
    size = snprintf(line, SSH_KEY_LINE_SIZE, "%s %s", type, text);
    if (key->comment[0] && size + 1 < SSH_KEY_LINE_SIZE)
        snprintf(line + size, (size_t)(SSH_KEY_LINE_SIZE - size), " %.*s",
                 SSH_KEY_LINE_SIZE - size - 2, key->comment);
    return line;
}

struct signer ssh_key_signer(const struct ssh_key *key)
{
    struct signer signer = {.form = (uint8_t)key->form};

    memcpy(signer.public_key, key->public_key, KEY_SIZE);
    memcpy(signer.application, key->application_hash, APPLICATION_HASH_SIZE);
    if (key->form == SIGNER_SECURITY_KEY)
        signer.required = AUTHENTICATOR_TOUCHED;
    return signer;
}
