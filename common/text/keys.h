/* Keys as text and as files. A key is 32 bytes, and its text is base64 (RFC 4648, padded). */
#ifndef PORTSMITH_KEYS_H
#define PORTSMITH_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/envelope.h"
#include "common/error.h"

enum { KEY_TEXT_SIZE = 45 }; /* 44 characters and a zero */

/* Reads a key, whose text is exactly the 44 characters of the one valid encoding of 32 bytes. False
 * with the reason, which does not repeat the text. */
bool key_parse(uint8_t key[static KEY_SIZE], const char *text, struct error *why);

/* Writes a key. Returns `text`, which the caller wipes if the key is secret. */
const char *key_format(const uint8_t key[static KEY_SIZE], char text[static KEY_TEXT_SIZE]);

/* Reads the file of a secret key, which holds one line. It must be a regular file and no
 * symbolic link, belong to the caller or root, and be readable by nobody else. What was read is
 * wiped, but for the key. False with the reason; errno is ENOENT exactly if there is no such
 * file. */
bool key_file_read(const char *path, uint8_t key[static KEY_SIZE], struct error *why);

/* Makes the file of a secret key, mode 0600. It is on the disk before this returns. An existing
 * file is never touched, and is an error with errno EEXIST. False with the reason. */
bool key_file_create(const char *path, const uint8_t key[static KEY_SIZE], struct error *why);

/* Makes the file of a new secret key, unless it is there, and reads it. *made is whether it was made.
 * False with the reason; errno is ENOENT if there is no such directory. */
bool key_file_have(const char *path, uint8_t key[static KEY_SIZE], bool *made, struct error *why);

/* Stores a client's Ed25519 public key as the point of X25519. False unless libsodium accepts
 * the key and can convert it: it is canonical, on the curve, and of full order. */
bool key_convert_public(uint8_t point[static KEY_SIZE],
                        const uint8_t client_public[static KEY_SIZE]);

/* Stores the signing key of a client's secret: the secret, which is the seed, and its public
 * key. */
void key_expand_client(uint8_t signing[static SIGNING_KEY_SIZE],
                       const uint8_t secret[static KEY_SIZE]);

/* Stores the X25519 public key of a server's secret. False if the secret cannot be used. */
bool key_server_public(uint8_t server_public[static KEY_SIZE],
                       const uint8_t secret[static KEY_SIZE]);

#endif
