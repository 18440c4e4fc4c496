/* Sending a knock to each address of a server. */
#ifndef PORTSMITH_SEND_H
#define PORTSMITH_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "knock.h"
#include "request.h"
#include "target.h"
#include "transport.h"

/* One address: what it was sent, and what became of that. */
struct sending {
    struct target target;
    enum transport transport;
    struct request request;         /* what the datagram asks for */
    uint8_t datagram[DATAGRAM_MAX]; /* kept, to be sent again */
    size_t size;                    /* of it; 0 if there was no way to the target */
    bool sent;                      /* the last time */
    struct error why;               /* if it was not sent */
};

/* Sends one datagram by the knocker's transport to each of `count` targets and fills in
 * sendings[i] for targets[i]. Each asks for `request`, with a counter of its
 * own, from request->counter on, of which the caller has taken `count`; the highest
 * is that of targets[0]. With
 * `sign_source`, the address that a datagram leaves from is signed if it is
 * global. Returns how many were sent. */
unsigned send_knocks(struct sending *sendings, const struct target *targets, unsigned count,
                     const struct knocker *knocker, const struct request *request,
                     bool sign_source);

/* Sends the very same datagrams again, for a knock may be lost: a server counts it
 * once. Returns how many were sent. */
unsigned send_knocks_again(struct sending *sendings, unsigned count);

#endif
