/* Keys as text and as files: 32 bytes, one line of base64 (RFC 4648, padded). */
#ifndef PORTSMITH_KEYS_H
#define PORTSMITH_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/envelope.h"
#include "common/error.h"

enum { KEY_TEXT_SIZE = 45 }; /* 44 characters and a zero */

/* Exactly the 44 characters of the one valid encoding of 32 bytes. */
bool key_parse(uint8_t key[static KEY_SIZE], const char *text, struct error *why);
const char *key_format(const uint8_t key[static KEY_SIZE], char text[static KEY_TEXT_SIZE]);

/* Secret key files: regular, no symbolic link, owned by the caller or root,
 * readable by nobody else, one line. What was read besides is wiped. */
bool key_file_read(const char *path, uint8_t key[static KEY_SIZE], struct error *why);

/* Makes the file, mode 0600, durably. An existing file is never replaced. */
bool key_file_create(const char *path, const uint8_t key[static KEY_SIZE], struct error *why);

/* A client's Ed25519 public key as the point of X25519. False unless it is one that
 * libsodium accepts and can convert: canonical, on the curve, of full order. */
bool key_convert_public(uint8_t point[static KEY_SIZE],
                        const uint8_t client_public[static KEY_SIZE]);

/* The signing key of a client's secret: the seed and its public key. */
void key_expand_client(uint8_t signing[static SIGNING_KEY_SIZE],
                       const uint8_t secret[static KEY_SIZE]);

/* The X25519 public key of a server's secret. False for an unusable one. */
bool key_server_public(uint8_t server_public[static KEY_SIZE],
                       const uint8_t secret[static KEY_SIZE]);

#endif
