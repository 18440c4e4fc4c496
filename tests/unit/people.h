/* A server and its clients, as the tests of both sides need them. */
#ifndef PORTSMITH_PEOPLE_H
#define PORTSMITH_PEOPLE_H

#include "check.h"

#include <sodium.h>

#include "common/clock.h"
#include "common/envelope.h"
#include "common/request.h"
#include "common/text/keys.h"

struct person {
    uint8_t signing[SIGNING_KEY_SIZE];
    uint8_t public_key[KEY_SIZE];
    uint8_t key_id[KEY_ID_SIZE];
};

/* The same one for the same number, each time. */
static inline void person_make(struct person *p, uint32_t number)
{
    uint8_t seed[KEY_SIZE] = {0};

    memcpy(seed, &number, sizeof number);
    crypto_sign_seed_keypair(p->public_key, p->signing, seed);
    envelope_key_id(p->key_id, p->public_key);
}

static inline struct signer native_signer(const uint8_t public_key[static KEY_SIZE])
{
    struct signer signer = {.form = SIGNER_NATIVE};

    memcpy(signer.public_key, public_key, KEY_SIZE);
    return signer;
}

/* The envelope key as a server makes it of a client's public key. */
static inline bool server_makes_key(uint8_t key[static KEY_SIZE],
                                    const uint8_t server_secret[static KEY_SIZE],
                                    const uint8_t client_public[static KEY_SIZE],
                                    const uint8_t *preshared)
{
    struct server_key server;
    uint8_t point[KEY_SIZE];

    memcpy(server.secret, server_secret, KEY_SIZE);
    return key_server_public(server.public, server.secret) &&
           key_convert_public(point, client_public) &&
           envelope_key_of_server(key, &server, client_public, point, preshared);
}

static inline struct address address_of(const char *text)
{
    struct address a;

    assert_true(address_parse(&a, text));
    return a;
}

static inline struct service service_of(const char *text)
{
    struct service s;
    struct error why;

    assert_true(service_parse(&s, text, &why));
    return s;
}

#endif
