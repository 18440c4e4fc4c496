/* The envelope, which hides and carries a signed request. portsmith-protocol(7) describes layout,
 * labels and algorithms, all of which are libsodium's. */
#ifndef PORTSMITH_ENVELOPE_H
#define PORTSMITH_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/request.h"

enum {
    /* All sizes are in bytes. */
    KEY_SIZE = 32,         /* an Ed25519 seed or public key, an X25519 key, a pre-shared key */
    SIGNING_KEY_SIZE = 64, /* libsodium's Ed25519 secret key: the seed, then the public key */
    KEY_ID_SIZE = 8,
    GATE_KEY_SIZE = 16,
    SIGNATURE_SIZE = 64,
    NONCE_SIZE = 24,
    PADDING_MAX = 128,
    DATAGRAM_MIN = 176,
    DATAGRAM_MAX = DATAGRAM_MIN + PADDING_MAX,
    SSH_BLOB_SIZE = 101,
    AUTHENTICATOR_SIZE = 5,
    APPLICATION_HASH_SIZE = 32,
};

/* How a client signs: by its own secret, by an ssh agent's key, or by a security key that an ssh
 * agent talks to. The last two sign as OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f say. */
enum signer_form { SIGNER_NATIVE, SIGNER_SSH, SIGNER_SECURITY_KEY };

/* Flags of an authenticator (WebAuthn level 2, 6.1). */
enum { AUTHENTICATOR_TOUCHED = 1, AUTHENTICATOR_VERIFIED = 4 };

struct signature {
    uint8_t bytes[SIGNATURE_SIZE];
    uint8_t authenticator[AUTHENTICATOR_SIZE]; /* a security key's flags, and its counter in four
                                                  bytes, big-endian; all 0 for other forms */
};

/* By what a signature is verified. */
struct signer {
    uint8_t public_key[KEY_SIZE];
    uint8_t form; /* enum signer_form */
    /* Of a security key; all 0 for other forms: */
    uint8_t required; /* which flags of the authenticator there must be */
    uint8_t application[APPLICATION_HASH_SIZE]; /* SHA-256 of the application */
};

/* Stores the key id: the name of a client's public key on the wire and in rules. */
void envelope_key_id(uint8_t id[static KEY_ID_SIZE], const uint8_t client_public[static KEY_SIZE]);

/* Stores the gate key, which hides key ids from those who do not hold the server's public key. */
void envelope_gate_key(uint8_t gate[static GATE_KEY_SIZE],
                       const uint8_t server_public[static KEY_SIZE]);

/* Stores the envelope key as the client computes it. `preshared` is KEY_SIZE bytes, or NULL.
 * False if libsodium refuses a key, which is then a point of low order. */
bool envelope_key_of_client(uint8_t key[static KEY_SIZE],
                            const uint8_t client_signing[static SIGNING_KEY_SIZE],
                            const uint8_t server_public[static KEY_SIZE],
                            const uint8_t *preshared);

/* Stores the envelope key of a client that an ssh agent signs for, as both ends compute it. */
void envelope_key_of_preshared(uint8_t key[static KEY_SIZE],
                               const uint8_t preshared[static KEY_SIZE],
                               const uint8_t client_public[static KEY_SIZE],
                               const uint8_t server_public[static KEY_SIZE]);

/* The server's X25519 key. */
struct server_key {
    uint8_t secret[KEY_SIZE]; /* secret */
    uint8_t public[KEY_SIZE];
};

/* Stores the envelope key as the server computes it. `client_point` is what key_convert_public
 * makes of `client_public`. `preshared` and false are as above. */
bool envelope_key_of_server(uint8_t key[static KEY_SIZE], const struct server_key *server,
                            const uint8_t client_public[static KEY_SIZE],
                            const uint8_t client_point[static KEY_SIZE],
                            const uint8_t *preshared);

/* Writes a datagram of DATAGRAM_MIN + `padding` bytes, and returns its size. `padding` is
 * PADDING_MAX at most, and AUTHENTICATOR_SIZE at least where a security key signed. `nonce` must be
 * random, and must not be used twice. */
size_t envelope_seal(uint8_t datagram[static DATAGRAM_MAX], const uint8_t nonce[static NONCE_SIZE],
                     size_t padding, const uint8_t key[static KEY_SIZE],
                     const uint8_t gate[static GATE_KEY_SIZE],
                     const uint8_t key_id[static KEY_ID_SIZE],
                     const uint8_t request[static REQUEST_SIZE],
                     const struct signature *signature);

/* Stores the key id of the client that a datagram claims to be from. The datagram has at least
 * DATAGRAM_MIN bytes. */
void envelope_claimed_key_id(uint8_t key_id[static KEY_ID_SIZE],
                             const uint8_t gate[static GATE_KEY_SIZE], const uint8_t *datagram);

/* Opens a datagram of `size` bytes, of a client that signs in that form. True if the size is in
 * range, the tag is right, and the padding is all zero but for a security key's flags and counter.
 * Otherwise false, and `request` and `signature` must not be used. Allocates nothing, and does
 * not check the signature. */
bool envelope_open(uint8_t request[static REQUEST_SIZE], struct signature *signature,
                   enum signer_form form, const uint8_t key[static KEY_SIZE],
                   const uint8_t *datagram, size_t size);

/* ---- signature.c: all that the helper has of this ----------------------- */

/* Signs the request for one server, so that no other server can pass the knock on. The form is
 * SIGNER_NATIVE. */
void envelope_sign(struct signature *signature,
                   const uint8_t client_signing[static SIGNING_KEY_SIZE],
                   const uint8_t server_public[static KEY_SIZE],
                   const uint8_t request[static REQUEST_SIZE]);

/* Writes what an ssh agent signs to make a knock of the request. */
void envelope_ssh_blob(uint8_t blob[static SSH_BLOB_SIZE],
                       const uint8_t server_public[static KEY_SIZE],
                       const uint8_t request[static REQUEST_SIZE]);

/* Whether the signature is the signer's, in its form, for this request and this server. */
bool envelope_verify(const struct signature *signature, const struct signer *signer,
                     const uint8_t server_public[static KEY_SIZE],
                     const uint8_t request[static REQUEST_SIZE]);

#endif
