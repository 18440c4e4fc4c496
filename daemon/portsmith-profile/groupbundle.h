/* The bundle of a group: a file that carries the group's server key to a new member. The key is
 * sealed for that host alone (libsodium's sealed boxes: X25519, XSalsa20-Poly1305).
 * portsmith-profile(8) says how it is used. */
#ifndef PORTSMITH_GROUPBUNDLE_H
#define PORTSMITH_GROUPBUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sodium.h>

#include "common/envelope.h"
#include "common/error.h"
#include "daemon/config/config.h"

enum {
    GROUP_SEALED_SIZE = crypto_box_SEALBYTES + KEY_SIZE,
    GROUP_TEXT_SIZE = 512, /* bytes, the zero included */
};

struct group_bundle {
    char name[POLICY_NAME_SIZE]; /* of the group; empty: the file has none */
    bool has_public_key, has_sealed;
    uint8_t public_key[KEY_SIZE]; /* the server's, as clients have it */
    uint8_t sealed[GROUP_SEALED_SIZE];
};

/* Seals the server's secret key for the host that has the secret of `onetime`, an X25519 public
 * key. False with the reason: one of the keys cannot be used. */
bool group_bundle_seal(struct group_bundle *bundle, const char *name,
                       const uint8_t secret[static KEY_SIZE],
                       const uint8_t onetime[static KEY_SIZE], struct error *why);

/* Writes the text of the file. Returns its size in bytes, without the zero. */
size_t group_bundle_format(const struct group_bundle *bundle, char text[static GROUP_TEXT_SIZE]);

/* Reads the bundle at `path`, which nobody else may be able to read. False with the reason, which
 * names the file. */
bool group_bundle_read(struct group_bundle *bundle, const char *path, struct error *why);

/* Opens the bundle that was read from `path`, by the secret half of the one-time key, and stores
 * the server's secret key, which the caller wipes. False with the reason: it is sealed for another
 * host, damaged, or holds another key than it says. */
bool group_bundle_open(const struct group_bundle *bundle, uint8_t secret[static KEY_SIZE],
                       const uint8_t onetime_secret[static KEY_SIZE], const char *path,
                       struct error *why);

#endif
