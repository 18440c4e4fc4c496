#include "common/envelope.h"

#include <sodium.h>
#include <string.h>

enum {
    AT_HINT = NONCE_SIZE,
    AT_SEALED = NONCE_SIZE + KEY_ID_SIZE,
    TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    SEALED_MIN = REQUEST_SIZE + SIGNATURE_SIZE,
};

_Static_assert(AT_SEALED + SEALED_MIN + TAG_SIZE == DATAGRAM_MIN, "the layout adds up");

void envelope_key_id(uint8_t id[static KEY_ID_SIZE], const uint8_t client_public[static KEY_SIZE])
{
    static const char label[] = "portsmith/1 key-id";
    uint8_t hash[32];
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&state, client_public, KEY_SIZE);
    crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(id, hash, KEY_ID_SIZE);
}

void envelope_gate_key(uint8_t gate[static GATE_KEY_SIZE],
                       const uint8_t server_public[static KEY_SIZE])
{
    static const char label[] = "portsmith/1 gate";
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, GATE_KEY_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&state, server_public, KEY_SIZE);
    crypto_generichash_final(&state, gate, GATE_KEY_SIZE);
}

/* Stores BLAKE2b-256 over label, shared secret and both public keys. Wipes `shared`. */
static void derive_envelope_key(uint8_t key[static KEY_SIZE], uint8_t shared[static KEY_SIZE],
                                const uint8_t *client_public, const uint8_t *server_public,
                                const uint8_t *preshared)
{
    static const char label[] = "portsmith/1 envelope";
    crypto_generichash_state state;

    crypto_generichash_init(&state, preshared, preshared ? KEY_SIZE : 0, KEY_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&state, shared, KEY_SIZE);
    crypto_generichash_update(&state, client_public, KEY_SIZE);
    crypto_generichash_update(&state, server_public, KEY_SIZE);
    crypto_generichash_final(&state, key, KEY_SIZE);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(shared, KEY_SIZE);
}

bool envelope_key_of_client(uint8_t key[static KEY_SIZE],
                            const uint8_t client_signing[static SIGNING_KEY_SIZE],
                            const uint8_t server_public[static KEY_SIZE], const uint8_t *preshared)
{
    uint8_t secret[KEY_SIZE], shared[KEY_SIZE], client_public[KEY_SIZE];
    bool ok;

    crypto_sign_ed25519_sk_to_pk(client_public, client_signing);
    ok = crypto_sign_ed25519_sk_to_curve25519(secret, client_signing) == 0 &&
         crypto_scalarmult(shared, secret, server_public) == 0;
    sodium_memzero(secret, sizeof secret);
    if (ok)
        derive_envelope_key(key, shared, client_public, server_public, preshared);
    return ok;
}

bool envelope_key_of_server(uint8_t key[static KEY_SIZE], const struct server_key *server,
                            const uint8_t client_public[static KEY_SIZE],
                            const uint8_t client_point[static KEY_SIZE],
                            const uint8_t *preshared)
{
    uint8_t shared[KEY_SIZE];

    if (crypto_scalarmult(shared, server->secret, client_point) != 0)
        return false;
    derive_envelope_key(key, shared, client_public, server->public, preshared);
    return true;
}

void envelope_key_of_preshared(uint8_t key[static KEY_SIZE],
                               const uint8_t preshared[static KEY_SIZE],
                               const uint8_t client_public[static KEY_SIZE],
                               const uint8_t server_public[static KEY_SIZE])
{
    static const char label[] = "portsmith/1 envelope-psk";
    crypto_generichash_state state;

    crypto_generichash_init(&state, preshared, KEY_SIZE, KEY_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&state, client_public, KEY_SIZE);
    crypto_generichash_update(&state, server_public, KEY_SIZE);
    crypto_generichash_final(&state, key, KEY_SIZE);
    sodium_memzero(&state, sizeof state);
}

/* Turns a key id into a hint, and a hint into a key id: the mask is its own inverse. */
static void mask_key_id(uint8_t out[static KEY_ID_SIZE], const uint8_t *in, const uint8_t *gate,
                        const uint8_t *nonce)
{
    uint8_t mask[crypto_shorthash_BYTES];

    _Static_assert(sizeof mask == KEY_ID_SIZE, "SipHash-2-4 yields as many bytes as a key id has");
    crypto_shorthash(mask, nonce, NONCE_SIZE, gate);
    for (size_t i = 0; i < KEY_ID_SIZE; i++)
        out[i] = in[i] ^ mask[i];
}

size_t envelope_seal(uint8_t datagram[static DATAGRAM_MAX], const uint8_t nonce[static NONCE_SIZE],
                     size_t padding, const uint8_t key[static KEY_SIZE],
                     const uint8_t gate[static GATE_KEY_SIZE],
                     const uint8_t key_id[static KEY_ID_SIZE],
                     const uint8_t request[static REQUEST_SIZE],
                     const struct signature *signature)
{
    uint8_t plain[SEALED_MIN + PADDING_MAX] = {0};

    memcpy(plain, request, REQUEST_SIZE);
    memcpy(plain + REQUEST_SIZE, signature->bytes, SIGNATURE_SIZE);
    memcpy(plain + SEALED_MIN, signature->authenticator, AUTHENTICATOR_SIZE);
    memcpy(datagram, nonce, NONCE_SIZE);
    mask_key_id(datagram + AT_HINT, key_id, gate, nonce);
    crypto_aead_xchacha20poly1305_ietf_encrypt(datagram + AT_SEALED, NULL, plain,
                                               SEALED_MIN + padding, datagram + AT_HINT,
                                               KEY_ID_SIZE, NULL, nonce, key);
    sodium_memzero(plain, sizeof plain);
    return DATAGRAM_MIN + padding;
}

void envelope_claimed_key_id(uint8_t key_id[static KEY_ID_SIZE],
                             const uint8_t gate[static GATE_KEY_SIZE], const uint8_t *datagram)
{
    mask_key_id(key_id, datagram + AT_HINT, gate, datagram);
}

bool envelope_open(uint8_t request[static REQUEST_SIZE], struct signature *signature,
                   enum signer_form form, const uint8_t key[static KEY_SIZE],
                   const uint8_t *datagram, size_t size)
{
    const size_t used = form == SIGNER_SECURITY_KEY ? AUTHENTICATOR_SIZE : 0; /* of the padding */
    uint8_t plain[SEALED_MIN + PADDING_MAX];

    if (size < DATAGRAM_MIN + used || size > DATAGRAM_MAX)
        return false;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, datagram + AT_SEALED,
                                                   size - AT_SEALED, datagram + AT_HINT,
                                                   KEY_ID_SIZE, datagram, key) != 0)
        return false;
    if (!sodium_is_zero(plain + SEALED_MIN + used, size - DATAGRAM_MIN - used))
        return false;
    memcpy(request, plain, REQUEST_SIZE);
    memset(signature, 0, sizeof *signature);
    memcpy(signature->bytes, plain + REQUEST_SIZE, SIGNATURE_SIZE);
    memcpy(signature->authenticator, plain + SEALED_MIN, used);
    return true;
}
