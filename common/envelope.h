/* The envelope: what hides and carries a signed request. Layout, labels and
 * algorithms are those of portsmith-protocol(7); all of it is libsodium. */
#ifndef PORTSMITH_ENVELOPE_H
#define PORTSMITH_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/request.h"

enum {
    KEY_SIZE = 32, /* Ed25519 seed or public key, X25519 key, PSK */
    SIGNING_KEY_SIZE = 64, /* libsodium's Ed25519 secret key: seed, public key */
    KEY_ID_SIZE = 8,
    GATE_KEY_SIZE = 16,
    SIGNATURE_SIZE = 64,
    NONCE_SIZE = 24,
    PADDING_MAX = 128,
    DATAGRAM_MIN = 176,
    DATAGRAM_MAX = DATAGRAM_MIN + PADDING_MAX,
};

/* The name of a client's public key on the wire and in rules. */
void envelope_key_id(uint8_t id[static KEY_ID_SIZE], const uint8_t client_public[static KEY_SIZE]);

/* The key that hides key ids from those who do not hold the server's public
 * key. */
void envelope_gate_key(uint8_t gate[static GATE_KEY_SIZE],
                       const uint8_t server_public[static KEY_SIZE]);

/* The envelope key, from the client's side. `preshared` is KEY_SIZE bytes or
 * NULL. False when libsodium refuses a key (a point of low order). */
bool envelope_key_of_client(uint8_t key[static KEY_SIZE],
                            const uint8_t client_signing[static SIGNING_KEY_SIZE],
                            const uint8_t server_public[static KEY_SIZE],
                            const uint8_t *preshared);

/* The server's X25519 key. */
struct server_key {
    uint8_t secret[KEY_SIZE];
    uint8_t public[KEY_SIZE];
};

/* The same key, from the server's side. `client_point` is what key_convert_public makes of
 * `client_public`. */
bool envelope_key_of_server(uint8_t key[static KEY_SIZE], const struct server_key *server,
                            const uint8_t client_public[static KEY_SIZE],
                            const uint8_t client_point[static KEY_SIZE],
                            const uint8_t *preshared);

/* Signs for one server, so that no other server can pass the knock on. */
void envelope_sign(uint8_t signature[static SIGNATURE_SIZE],
                   const uint8_t client_signing[static SIGNING_KEY_SIZE],
                   const uint8_t server_public[static KEY_SIZE],
                   const uint8_t request[static REQUEST_SIZE]);
bool envelope_verify(const uint8_t signature[static SIGNATURE_SIZE],
                     const uint8_t client_public[static KEY_SIZE],
                     const uint8_t server_public[static KEY_SIZE],
                     const uint8_t request[static REQUEST_SIZE]);

/* Writes a datagram of 176 + padding bytes (padding at most PADDING_MAX) and
 * returns its size. `nonce` must be random and never used twice. */
size_t envelope_seal(uint8_t datagram[static DATAGRAM_MAX], const uint8_t nonce[static NONCE_SIZE],
                     size_t padding, const uint8_t key[static KEY_SIZE],
                     const uint8_t gate[static GATE_KEY_SIZE],
                     const uint8_t key_id[static KEY_ID_SIZE],
                     const uint8_t request[static REQUEST_SIZE],
                     const uint8_t signature[static SIGNATURE_SIZE]);

/* Which client a datagram of at least DATAGRAM_MIN bytes claims to be from. */
void envelope_claimed_key_id(uint8_t key_id[static KEY_ID_SIZE],
                             const uint8_t gate[static GATE_KEY_SIZE], const uint8_t *datagram);

/* Opens a datagram of `size` bytes. False, with nothing to rely on in the
 * outputs, unless the size is in range, the tag is right and the padding is
 * all zero. Allocates nothing. The signature is not checked here. */
bool envelope_open(uint8_t request[static REQUEST_SIZE], uint8_t signature[static SIGNATURE_SIZE],
                   const uint8_t key[static KEY_SIZE], const uint8_t *datagram, size_t size);

#endif
