/* The signature under a request. */
#include <sodium.h>
#include <string.h>

#include "common/envelope.h"

enum { SIGNED_LABEL_SIZE = sizeof "portsmith/1 request" }; /* the zero included */
enum { SIGNED_SIZE = SIGNED_LABEL_SIZE + KEY_SIZE + REQUEST_SIZE };

static void signed_text(uint8_t text[static SIGNED_SIZE], const uint8_t *server_public,
                        const uint8_t *request)
{
    memcpy(text, "portsmith/1 request", SIGNED_LABEL_SIZE);
    memcpy(text + SIGNED_LABEL_SIZE, server_public, KEY_SIZE);
    memcpy(text + SIGNED_LABEL_SIZE + KEY_SIZE, request, REQUEST_SIZE);
}

void envelope_sign(struct signature *signature,
                   const uint8_t client_signing[static SIGNING_KEY_SIZE],
                   const uint8_t server_public[static KEY_SIZE],
                   const uint8_t request[static REQUEST_SIZE])
{
    uint8_t text[SIGNED_SIZE];

    signed_text(text, server_public, request);
    memset(signature, 0, sizeof *signature);
    crypto_sign_ed25519_detached(signature->bytes, NULL, text, sizeof text, client_signing);
}

/* PROTOCOL.sshsig: a preamble, then strings, each behind its size in four bytes: the namespace, a
 * reserved one, the name of the hash, the hash. */
void envelope_ssh_blob(uint8_t blob[static SSH_BLOB_SIZE],
                       const uint8_t server_public[static KEY_SIZE],
                       const uint8_t request[static REQUEST_SIZE])
{
    static const char head[] =
        "SSHSIG\0\0\0\11portsmith\0\0\0\0\0\0\0\6sha512\0\0\0\100";
    enum { HEAD_SIZE = sizeof head - 1 };
    uint8_t text[SIGNED_SIZE];

    _Static_assert(HEAD_SIZE + crypto_hash_sha512_BYTES == SSH_BLOB_SIZE, "the parts add up");
    signed_text(text, server_public, request);
    memcpy(blob, head, HEAD_SIZE);
    crypto_hash_sha512(blob + HEAD_SIZE, text, sizeof text);
}

/* Writes what a signer of that form signs, and returns its size. */
static size_t text_of_form(uint8_t text[static SIGNED_SIZE], const struct signer *signer,
                           const struct signature *signature, const uint8_t *server_public,
                           const uint8_t *request)
{
    enum { AT_HASH = APPLICATION_HASH_SIZE + AUTHENTICATOR_SIZE };
    uint8_t blob[SSH_BLOB_SIZE];

    if (signer->form == SIGNER_NATIVE) {
        signed_text(text, server_public, request);
        return SIGNED_SIZE;
    }
    envelope_ssh_blob(blob, server_public, request);
    if (signer->form == SIGNER_SSH) {
        memcpy(text, blob, sizeof blob);
        return sizeof blob;
    }
    memcpy(text, signer->application, APPLICATION_HASH_SIZE);
    memcpy(text + APPLICATION_HASH_SIZE, signature->authenticator, AUTHENTICATOR_SIZE);
    crypto_hash_sha256(text + AT_HASH, blob, sizeof blob);
    return AT_HASH + crypto_hash_sha256_BYTES;
}

bool envelope_verify(const struct signature *signature, const struct signer *signer,
                     const uint8_t server_public[static KEY_SIZE],
                     const uint8_t request[static REQUEST_SIZE])
{
    uint8_t text[SIGNED_SIZE];
    size_t size = text_of_form(text, signer, signature, server_public, request);

    return (signature->authenticator[0] & signer->required) == signer->required &&
           crypto_sign_ed25519_verify_detached(signature->bytes, text, size,
                                               signer->public_key) == 0;
}
