/* Sending a knock to each address of a server. */
#ifndef PORTSMITH_SEND_H
#define PORTSMITH_SEND_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "knock.h"
#include "request.h"
#include "target.h"

/* What became of one address. */
struct sending {
    bool sent;
    size_t size;            /* of the datagram, if it was sent */
    struct request request; /* what it asked for */
    struct error why;       /* if it was not sent */
};

/* Sends one datagram over UDP to each of `count` targets and fills in
 * sendings[i] for targets[i]. Each asks for `request`, with a counter of its
 * own: request->counter + i; the caller has taken `count` of them. With
 * `sign_source`, the address that a datagram leaves from is signed if it is
 * global. Returns how many were sent. */
unsigned send_knocks(struct sending *sendings, const struct target *targets, unsigned count,
                     const struct knocker *knocker, const struct request *request,
                     bool sign_source);

#endif
