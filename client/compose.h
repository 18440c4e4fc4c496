/* How a knock is made: one datagram from one request. */
#ifndef PORTSMITH_COMPOSE_H
#define PORTSMITH_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/agent.h"
#include "client/identity.h"
#include "client/server.h"
#include "common/envelope.h"
#include "common/error.h"
#include "common/request.h"

/* What a client needs to make knocks for one server. It is computed once. */
struct knocker {
    enum transport transport;          /* how the knocks are to travel */
    struct signer signer;              /* its form says who signs: the knocker or an ssh-agent */
    uint8_t signing[SIGNING_KEY_SIZE]; /* secret; the next three are used if an agent signs */
    struct ssh_key ssh_key;
    char agent[PATH_MAX]; /* as agent_path takes it */
    agent_teller *tell;   /* says what the agent waits for; NULL: nobody is told */
    bool asks;            /* somebody is asked for a signature, so none is made without need */
    uint8_t envelope_key[KEY_SIZE]; /* secret */
    uint8_t server_public[KEY_SIZE];
    uint8_t gate_key[GATE_KEY_SIZE];
    uint8_t key_id[KEY_ID_SIZE];
};

/* Makes a knocker from the client's identity and the server file. `identity` is NULL exactly if the
 * server file has an ssh key; no agent is asked yet. It is in locked memory, and the caller gives it
 * back with knocker_free. NULL with the reason. */
struct knocker *knocker_new(const struct identity *identity, const struct server *server,
                            struct error *why);

/* As knocker_new, with the identity that the server file names. That is read, and gone again
 * when this returns. `tell` is for the agent. */
struct knocker *knocker_read(const struct server *server, agent_teller *tell, struct error *why);

/* The request that the server file describes. The caller adds the counter and, where the server's
 * address is ADDRESS_AUTO, the address. */
struct request knock_request(const struct server *server, enum action action);

/* Has a request that names no address name the server's one member. False with the reason if there
 * are several. send_knocks does without: it knows where each datagram goes. */
bool knock_name_member(struct request *request, const struct server *server, struct error *why);

/* Writes the datagram that asks for a request that was signed. Returns the datagram's size,
 * DATAGRAM_MIN to DATAGRAM_MAX bytes. Nonce and padding are drawn afresh. */
size_t knock_seal(uint8_t datagram[static DATAGRAM_MAX], const struct knocker *knocker,
                  const struct request *request, const struct signature *signature);

/* Wipes and frees the knocker. NULL is allowed. */
void knocker_free(struct knocker *knocker);

#endif
