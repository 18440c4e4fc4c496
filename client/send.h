/* How a knock is sent to each address of a server. */
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

enum { SENDINGS_MAX = 2 * TARGETS_MAX }; /* of one knock */

/* One way to one address: what was sent there, and what became of that. */
struct sending {
    struct target target;
    enum transport transport;
    bool signs_source;              /* the request names `source`, where that is global */
    struct address source;          /* connections to the target leave from it */
    struct request request;         /* what the datagram asks for */
    struct signature signature;     /* by which it does */
    uint8_t datagram[DATAGRAM_MAX]; /* kept, to be sent again */
    size_t size;                    /* of the datagram; 0: there is none, as there was no way */
    bool is_new;                    /* the datagram was signed for the latest sending */
    bool is_refused;                /* nobody signs it, and nobody is asked again */
    bool sent;                      /* whether the latest sending succeeded */
    struct error why;               /* the reason if it did not */
};

/* Sends a datagram by the knocker's transport to each of `count` targets. Where the kernel spreads
 * connections over several uplinks by their ports, a target gets one datagram from each address
 * that connections to it may leave from. Fills in *made sendings, in the order of the targets, and
 * at least one for each.
 *
 * Each datagram asks for `request`. With `sign_source` it also names the address that connections
 * leave from, if that is global and the target may_sign. One that names no address names the
 * target's member, if that has any.
 *
 * The caller has taken SENDINGS_MAX counters, from request->counter on. The first datagram gets the
 * highest of them. Datagrams share a counter if they ask for the same, name the same member or none,
 * leave from the same address and are of one family: whoever gets one of these holds a repeat of the
 * others. They share a signature, too. For a security key has to be touched for each signature, only
 * those are sent that share that of the first target that there is a way to. Once a signature has
 * been refused, no other is asked for. Each datagram is sent before the next signature is asked for.
 *
 * Returns how many datagrams were sent. */
unsigned send_knocks(struct sending sendings[static SENDINGS_MAX], unsigned *made,
                     const struct target *targets, unsigned count,
                     struct knocker *knocker, const struct request *request, bool sign_source);

/* Sends the very same datagrams again, as a knock may be lost. A server counts a repeat once. Where
 * connections leave from another address by now, the datagram is signed anew, with a new counter
 * of the user's own. Returns how many datagrams were sent. */
unsigned send_knocks_again(struct sending *sendings, unsigned count, struct knocker *knocker);

/* Sends one target a datagram that is signed anew, with a new counter of the user's own. False if
 * it was not sent; the reason is in sending->why. */
bool send_knock_anew(struct sending *sending, struct knocker *knocker);

/* Whether the latest sending was refused. Then whoever was asked wants no other prompt. */
bool send_was_refused(const struct sending *sending);

/* The sending whose reason is to be told if none was sent: the first that was refused, or else the
 * first of all. */
const struct sending *send_to_blame(const struct sending *sendings, unsigned count);

/* What to do about a datagram that was not sent, as text to be put behind sending->why. It is ""
 * where that reason says so itself. */
const char *send_advice(const struct sending *sending);

#endif
