/* Connecting to the first of several addresses that answers (after RFC 8305), and to doors
 * that are just about to open: a SYN that came too early is lost, and the kernel sends the
 * next a second later; a new socket does so much sooner. door.h is the same for a program
 * with one connection, which may as well wait for a refusal to end; a proxy's client wants
 * to be told. */
#ifndef PORTSMITH_DIAL_H
#define PORTSMITH_DIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "client/target.h"
#include "common/address.h"

enum { DIAL_ATTEMPTS = 4 }; /* sockets at one time */

struct dial_attempt;

struct dial {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct target targets[TARGETS_MAX]; /* where to, ports included */
    bool is_dead[TARGETS_MAX];
    unsigned count;
    bool again;      /* what is shut or silent is tried again */
    unsigned *spare; /* descriptors for more sockets than one; shared by all */

    uint64_t began;  /* uv_now */
    unsigned next, round;
    struct dial_attempt *attempts[DIAL_ATTEMPTS]; /* the oldest first */
    unsigned in_flight;
    int error; /* the most telling one so far, as libuv has it; 0 for none */

    /* Where a connection to the target is to leave from. False, or NULL: wherever. */
    bool (*find_source)(struct dial *dial, const struct target *to, struct address *source);
    /* All addresses were tried and none has answered yet. NULL unless `again`. */
    void (*silent)(struct dial *dial);
    /* The end: a connected socket, which is from malloc and the callee's now, or none. */
    void (*done)(struct dial *dial, uv_tcp_t *tcp);
};

/* Makes the timer; the owner closes it, after dial_stop. */
void dial_init(struct dial *dial, uv_loop_t *loop, unsigned *spare);

/* Adds an address with a port; too many are left out. */
void dial_add(struct dial *dial, const struct sockaddr *to, uint16_t port);
void dial_add_address(struct dial *dial, const struct address *to, uint16_t port);

/* Begins after `delay` milliseconds. */
void dial_start(struct dial *dial, uint64_t delay);

/* Gives up all that is under way; `done` is not called. */
void dial_stop(struct dial *dial);

#endif
