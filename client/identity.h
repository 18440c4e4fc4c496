/* The client's own key pair, Ed25519. It is one file, and belongs on one device. */
#ifndef PORTSMITH_IDENTITY_H
#define PORTSMITH_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/envelope.h"
#include "common/error.h"

struct identity {
    uint8_t signing[SIGNING_KEY_SIZE]; /* secret */
    uint8_t public_key[KEY_SIZE];
};

/* Makes a new key pair, writes the secret key into the new file `path`, mode 0600, and stores the
 * public key. An existing file is never touched. False with the reason. */
bool identity_create(const char *path, uint8_t public_key[static KEY_SIZE], struct error *why);

/* The identity whose secret key this is. It is in locked memory, and the caller gives it back with
 * identity_free. NULL with the reason if there is no memory. */
struct identity *identity_of_secret(const uint8_t secret[static KEY_SIZE], struct error *why);

/* Reads the file at `path`, which nobody else may be able to read. The identity is in locked
 * memory, and the caller gives it back with identity_free. NULL with the reason. */
struct identity *identity_read(const char *path, struct error *why);

/* Wipes and frees the identity. NULL is allowed. */
void identity_free(struct identity *identity);

#endif
