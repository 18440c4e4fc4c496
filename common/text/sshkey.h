/* Public keys of OpenSSH, as a line of authorized_keys or of a .pub file has them: a type, base64
 * and a comment, without options. RFC 4253 (6.6), RFC 8709 and OpenSSH's PROTOCOL.u2f say what the
 * base64 holds. */
#ifndef PORTSMITH_SSHKEY_H
#define PORTSMITH_SSHKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/envelope.h"
#include "common/error.h"

enum {
    SSH_APPLICATION_SIZE = 48, /* of a security key; the zero included */
    SSH_COMMENT_SIZE = 64,     /* the zero included; longer ones are cut */
    SSH_KEY_BLOB_MAX = 70 + SSH_APPLICATION_SIZE - 1,
    SSH_KEY_LINE_SIZE = 187, /* of ssh_key_format, the zero included: a line of settings has room
                                for it behind "PublicKey = " */
};

struct ssh_key {
    enum signer_form form; /* not SIGNER_NATIVE */
    uint8_t public_key[KEY_SIZE];
    char application[SSH_APPLICATION_SIZE]; /* "ssh:" or longer; empty but for a security key */
    uint8_t application_hash[APPLICATION_HASH_SIZE]; /* likewise all 0 */
    char comment[SSH_COMMENT_SIZE]; /* without control characters; may be empty */
    uint8_t blob[SSH_KEY_BLOB_MAX]; /* by which an agent knows the key */
    size_t blob_size;
};

/* Whether the text begins as a line of an ssh key does, of whichever type. */
bool ssh_key_is_line(const char *text);

/* Reads a line, whose end may be there or not. False with the reason, which says what key would do
 * where the line is a key of another type. */
bool ssh_key_parse(struct ssh_key *key, const char *line, struct error *why);

/* Writes the line of a key, without a newline, and with as much of the comment as there is room
 * for. Returns `line`. */
const char *ssh_key_format(const struct ssh_key *key, char line[static SSH_KEY_LINE_SIZE]);

/* What a signature of the key is verified by. Of a security key a touch is required. */
struct signer ssh_key_signer(const struct ssh_key *key);

#endif
