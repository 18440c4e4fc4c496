/* The requests that were passed on to the helper and have no reply yet. The helper replies in
 * their order. */
#ifndef PORTSMITH_UNANSWERED_H
#define PORTSMITH_UNANSWERED_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/sniffer/clientele.h"
#include "privsep/message.h"

/* So many replies fit into the socket to the helper, which cuts a sniffer off that lets it fill
 * up. While more requests than that could be unanswered, frames wait in the captures' buffers. */
enum { UNANSWERED_MAX = 128 };

struct unanswered_request {
    struct client *client;
    uint64_t counter;   /* 0: the knock was out of time */
    bool is_unverified; /* the sniffer has not verified its signature */
    uint8_t request[REQUEST_SIZE];
    struct signature signature;
};

/* All zero at first. */
struct unanswered {
    struct unanswered_request requests[UNANSWERED_MAX]; /* a ring */
    unsigned first, count;
};

/* Adds a request of the client's, which stays where it is, and copies what it needs of the message.
 * There must be room for one more. `counter` is 0 where the knock is out of time. */
void unanswered_add(struct unanswered *unanswered, struct client *client,
                    const struct helper_request *message, uint64_t counter, bool is_unverified);

/* Takes out the request that was added last. There must be one, and it stays as it is until one is
 * added. */
const struct unanswered_request *unanswered_take_last(struct unanswered *unanswered);

/* Takes out the oldest request, which the helper answers next. What is returned stays as it is
 * until one is added. NULL if there is none. */
const struct unanswered_request *unanswered_take(struct unanswered *unanswered);

/* Whether the client's very same request, with the same signature, is unanswered. The same request
 * with another signature may be somebody else's. */
bool unanswered_has(const struct unanswered *unanswered, const struct client *client,
                    const struct helper_request *message);

/* How many of the client's unanswered requests are unverified. */
unsigned unanswered_unverified(const struct unanswered *unanswered, const struct client *client);

#endif
