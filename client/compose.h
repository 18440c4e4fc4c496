/* Making knocks: one datagram from one request. */
#ifndef PORTSMITH_COMPOSE_H
#define PORTSMITH_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/identity.h"
#include "client/server.h"
#include "common/envelope.h"
#include "common/error.h"
#include "common/request.h"

/* All that a client needs to knock at one server, computed once. */
struct knocker {
    enum transport transport;
    uint8_t signing[SIGNING_KEY_SIZE]; /* secret */
    uint8_t envelope_key[KEY_SIZE];    /* secret */
    uint8_t server_public[KEY_SIZE];
    uint8_t gate_key[GATE_KEY_SIZE];
    uint8_t key_id[KEY_ID_SIZE];
};

/* In locked memory, given back with knocker_free; NULL with the reason. */
struct knocker *knocker_new(const struct identity *identity, const struct server *server,
                            struct error *why);

/* The same with the identity that the server's file names, which is read for this alone. */
struct knocker *knocker_read(const struct server *server, struct error *why);

/* What to ask the server for, as it is set: all but the counter, and the address where
 * that depends on the route (ADDRESS_AUTO). */
struct request knock_request(const struct server *server, enum action action);

/* Writes the datagram that asks for `request`, which must be valid as
 * request_encode wants it, and returns its size, DATAGRAM_MIN to DATAGRAM_MAX.
 * Nonce and padding are drawn afresh. */
size_t knock_make(uint8_t datagram[static DATAGRAM_MAX], const struct knocker *knocker,
                  const struct request *request);

/* Wipes and frees; NULL is allowed. */
void knocker_free(struct knocker *knocker);

#endif
