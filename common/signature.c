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

void envelope_sign(uint8_t signature[static SIGNATURE_SIZE],
                   const uint8_t client_signing[static SIGNING_KEY_SIZE],
                   const uint8_t server_public[static KEY_SIZE],
                   const uint8_t request[static REQUEST_SIZE])
{
    uint8_t text[SIGNED_SIZE];

    signed_text(text, server_public, request);
    crypto_sign_ed25519_detached(signature, NULL, text, sizeof text, client_signing);
}

bool envelope_verify(const uint8_t signature[static SIGNATURE_SIZE],
                     const uint8_t client_public[static KEY_SIZE],
                     const uint8_t server_public[static KEY_SIZE],
                     const uint8_t request[static REQUEST_SIZE])
{
    uint8_t text[SIGNED_SIZE];

    signed_text(text, server_public, request);
    return crypto_sign_ed25519_verify_detached(signature, text, sizeof text, client_public) == 0;
}
