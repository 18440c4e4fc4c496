#include "client/compose.h"

#include <sodium.h>
#include <string.h>

/* Takes what is the identity's. False if the keys do not yield a shared one. */
static bool take_identity(struct knocker *k, const struct identity *identity,
                          const struct server *server)
{
    memcpy(k->signing, identity->signing, sizeof k->signing);
    envelope_key_id(k->key_id, identity->public_key);
    return envelope_key_of_client(k->envelope_key, identity->signing, server->public_key,
                                  server->has_preshared ? server->preshared : NULL);
}

/* Takes what is the ssh key's. Only the server knows which of a security key's flags it wants. */
static void take_ssh_key(struct knocker *k, const struct server *server)
{
    k->ssh_key = server->ssh_key;
    k->signer = ssh_key_signer(&server->ssh_key);
    k->signer.required = 0;
    k->asks = k->signer.form == SIGNER_SECURITY_KEY;
    strcpy(k->agent, server->agent);
    envelope_key_id(k->key_id, server->ssh_key.public_key);
    envelope_key_of_preshared(k->envelope_key, server->preshared, server->ssh_key.public_key,
                              server->public_key);
}

struct knocker *knocker_new(const struct identity *identity, const struct server *server,
                            struct error *why)
{
    struct knocker *knocker = sodium_malloc(sizeof *knocker);

    if (!knocker) {
        error_set(why, "out of memory");
        return NULL;
    }
    memset(knocker, 0, sizeof *knocker);
    knocker->transport = server->transport;
    memcpy(knocker->server_public, server->public_key, sizeof knocker->server_public);
    envelope_gate_key(knocker->gate_key, server->public_key);
    if (!identity)
        take_ssh_key(knocker, server);
    else if (!take_identity(knocker, identity, server)) {
        error_set(why, "the server's public key and the identity do not yield a shared key");
        knocker_free(knocker);
        return NULL;
    }
    return knocker;
}

struct knocker *knocker_read(const struct server *server, agent_teller *tell, struct error *why)
{
    struct identity *identity = NULL;
    struct knocker *knocker = NULL;

    if (!server->has_ssh_key)
        identity = identity_read(server->identity, why);
    if (server->has_ssh_key || identity)
        knocker = knocker_new(identity, server, why);
    if (knocker)
        knocker->tell = tell;
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

bool knock_name_member(struct request *request, const struct server *server, struct error *why)
{
    if (server->member_count == 0 || request->has_address)
        return true;
    if (server->member_count > 1)
        return error_set(why, "a knock that signs no address is for one member of a group, and the "
                              "server file names %u: sign the address, or take a file with one "
                              "Member", server->member_count);
    member_id(request->member, server->members[0]);
    return true;
}

size_t knock_seal(uint8_t datagram[static DATAGRAM_MAX], const struct knocker *knocker,
                  const struct request *request, const struct signature *signature)
{
    uint32_t least = knocker->signer.form == SIGNER_SECURITY_KEY ? AUTHENTICATOR_SIZE : 0;
    uint8_t encoded[REQUEST_SIZE], nonce[NONCE_SIZE];

    request_encode(encoded, request);
    randombytes_buf(nonce, sizeof nonce);
    return envelope_seal(datagram, nonce, least + randombytes_uniform(PADDING_MAX + 1 - least),
                         knocker->envelope_key, knocker->gate_key, knocker->key_id, encoded,
                         signature);
}

void knocker_free(struct knocker *knocker)
{
    sodium_free(knocker);
}
