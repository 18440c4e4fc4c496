/* The dial: connecting to the first of several addresses that answers (after RFC 8305), also
 * where doors are just about to open. A SYN that comes too early is lost, and the kernel sends
 * the next one a second later; a new socket sends one much sooner. door.h does the same for a
 * program with one connection. That may as well wait until a door no longer refuses, but a
 * proxy's client wants to be told of a refusal. */
#ifndef PORTSMITH_DIAL_H
#define PORTSMITH_DIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "client/target.h"
#include "common/address.h"

enum { DIAL_ATTEMPTS = 4 }; /* sockets of one dial at one time */

struct dial_attempt;

struct dial {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct target targets[TARGETS_MAX]; /* where to connect to, with ports */
    bool is_dead[TARGETS_MAX];          /* the target is not tried again */
    unsigned count;                     /* how many targets there are */
    bool again;                         /* targets that are shut or silent are tried again */
    unsigned *spare; /* how many sockets beyond the first all dials together may still open */

    uint64_t began; /* uv_now */
    unsigned next;  /* the target that is tried next */
    unsigned round; /* how often all targets were tried */
    struct dial_attempt *attempts[DIAL_ATTEMPTS]; /* the oldest first */
    unsigned in_flight;                           /* how many attempts there are */
    int error; /* the most telling error so far, as libuv has it; 0: there is none */

    /* Stores where a connection to the target is to leave from. If it is NULL or returns false, the
     * kernel chooses. */
    bool (*find_source)(struct dial *dial, const struct target *to, struct address *source);
    /* Is called when all targets were tried and none has answered yet. NULL unless `again`. */
    void (*silent)(struct dial *dial);
    /* Is called at the end, with a connected socket, which the callee closes and then frees with
     * free(3), or with NULL. */
    void (*done)(struct dial *dial, uv_tcp_t *tcp);
};

/* Clears the dial and makes its timer. The caller then sets `again` and the callbacks. After
 * dial_stop it closes the timer. */
void dial_init(struct dial *dial, uv_loop_t *loop, unsigned *spare);

/* Adds a target: an address of IPv4 or IPv6, and a port in host order. An address of another family
 * is left out, and so are targets beyond TARGETS_MAX. */
void dial_add(struct dial *dial, const struct sockaddr *to, uint16_t port);

/* As dial_add, for an address in our own form. */
void dial_add_address(struct dial *dial, const struct address *to, uint16_t port);

/* Begins to connect after `delay` milliseconds. */
void dial_start(struct dial *dial, uint64_t delay);

/* Gives up all attempts, without a call of `done`. */
void dial_stop(struct dial *dial);

#endif
