/* Sending a knock to each address of a server. */
#ifndef PORTSMITH_SEND_H
#define PORTSMITH_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/compose.h"
#include "client/target.h"
#include "common/error.h"
#include "common/request.h"
#include "common/text/transport.h"

enum { SENDINGS_MAX = 2 * TARGETS_MAX };

/* One way to an address: what was sent there, and what became of that. */
struct sending {
    struct target target;
    enum transport transport;
    bool signs_source;              /* if that is global; else the address is as was asked for */
    struct address source;          /* that connections to the target leave from */
    struct request request;         /* what the datagram asks for */
    uint8_t datagram[DATAGRAM_MAX]; /* kept, to be sent again */
    size_t size;                    /* of it; 0 if there was no way to the target */
    bool is_new;                    /* it was signed for the last time that it was sent */
    bool sent;                      /* the last time */
    struct error why;               /* if it was not sent */
};

/* Sends a datagram by the knocker's transport to each of `count` targets: one, but where
 * the kernel spreads connections over several uplinks by their ports, one from each address
 * that they may leave from. Fills in *made sendings, at least one for each target, in that
 * order. Each asks for `request`; with `sign_source`, the address that connections leave
 * from is signed if it is global and the target may_sign. Counters are among the
 * SENDINGS_MAX from request->counter on, which the caller has taken. Datagrams that ask for
 * the same, leave from the same address and are of one family share one, so that whoever
 * gets one of them holds a repeat of the others; the first is the highest. Returns how many
 * were sent. */
unsigned send_knocks(struct sending sendings[static SENDINGS_MAX], unsigned *made,
                     const struct target *targets, unsigned count,
                     const struct knocker *knocker, const struct request *request,
                     bool sign_source);

/* Sends the very same datagrams again, for a knock may be lost: a server counts it
 * once. But where connections leave from another address by now, a datagram is signed
 * anew, with a new counter of the user's own. Returns how many were sent. */
unsigned send_knocks_again(struct sending *sendings, unsigned count,
                           const struct knocker *knocker);

/* Sends to one target a datagram that is signed anew, with a new counter. False if it was
 * not sent. */
bool send_knock_anew(struct sending *sending, const struct knocker *knocker);

/* What to do about a datagram that was not sent, to be put behind its reason; "" where that
 * says it. */
const char *send_advice(const struct sending *sending);

#endif
