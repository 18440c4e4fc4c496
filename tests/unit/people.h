/* A server and its clients, as the tests of both sides need them. */
#ifndef PORTSMITH_PEOPLE_H
#define PORTSMITH_PEOPLE_H

#include "check.h"

#include <sodium.h>

#include "clock.h"
#include "envelope.h"
#include "request.h"

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
