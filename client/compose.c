#include "client/compose.h"

#include <sodium.h>
#include <string.h>

struct knocker *knocker_new(const struct identity *identity, const struct server *server,
                            struct error *why)
{
    struct knocker *knocker = sodium_malloc(sizeof *knocker);

    if (!knocker) {
        error_set(why, "out of memory");
        return NULL;
    }
    knocker->transport = server->transport;
    memcpy(knocker->signing, identity->signing, sizeof knocker->signing);
    memcpy(knocker->server_public, server->public_key, sizeof knocker->server_public);
    envelope_gate_key(knocker->gate_key, server->public_key);
    envelope_key_id(knocker->key_id, identity->public_key);
    if (!envelope_key_of_client(knocker->envelope_key, identity->signing, server->public_key,
                                server->has_preshared ? server->preshared : NULL)) {
        error_set(why, "the server's public key and the identity do not yield a shared key");
        knocker_free(knocker);
        return NULL;
    }
    return knocker;
}

struct knocker *knocker_read(const struct server *server, struct error *why)
{
    struct identity *identity = identity_read(server->identity, why);
    struct knocker *knocker = identity ? knocker_new(identity, server, why) : NULL;

    identity_free(identity);
    return knocker;
}

struct request knock_request(const struct server *server, enum action action)
{
    struct request r = {
        .action = action,
        .has_address = server->address.source == ADDRESS_GIVEN,
        .service_count = server->service_count,
        .window = action == ACTION_CLOSE ? 0 : server->window,
    };

    if (r.has_address)
        r.address = server->address.given;
    memcpy(r.services, server->services, sizeof r.services);
    return r;
}

size_t knock_make(uint8_t datagram[static DATAGRAM_MAX], const struct knocker *knocker,
                  const struct request *request)
{
    uint8_t encoded[REQUEST_SIZE], nonce[NONCE_SIZE];
    struct signature signature;

    request_encode(encoded, request);
    envelope_sign(&signature, knocker->signing, knocker->server_public, encoded);
    randombytes_buf(nonce, sizeof nonce);
    return envelope_seal(datagram, nonce, randombytes_uniform(PADDING_MAX + 1),
                         knocker->envelope_key, knocker->gate_key, knocker->key_id, encoded,
                         &signature);
}

void knocker_free(struct knocker *knocker)
{
    sodium_free(knocker);
}
