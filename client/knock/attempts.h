/* Attempts to connect to one address whose port is about to open. A SYN that comes too early is
 * lost, and the kernel repeats it only after a second (RFC 6298, 2.1). So another socket sends a
 * new SYN after a short pause. The sockets before it stay pending, as an answer may take longer
 * than the pause. The first socket that is answered is the connection. The others are closed before
 * they are answered, so that the server never has them to accept. */
#ifndef PORTSMITH_ATTEMPTS_H
#define PORTSMITH_ATTEMPTS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/target.h"
#include "common/address.h"

enum { ATTEMPTS_PENDING = 4 }; /* sockets at one time; a further one takes the oldest's place */

struct attempts {
    struct target target;
    const struct address *source; /* where attempts leave from; owned by the caller, may change */
    int fds[ATTEMPTS_PENDING];    /* the pending sockets; -1: none */
    unsigned next;                /* the place in `fds` of the next socket, and of the oldest */
    bool begun;                   /* there has been an attempt */
    bool unseen;                  /* use source_connect_unseen; set before the first attempt */
    int64_t due;                  /* when the next attempt begins, clock_boot_ns() */
    int64_t pause;                /* from that attempt to the one after it, nanoseconds */
    int error;                    /* errno of the last attempt that failed; 0: none has */
};

/* Prepares attempts to connect by TCP to `port` of the target, in host order. The first begins at
 * `start`, clock_boot_ns(). Each leaves from what *source is when it begins. Nothing is opened
 * yet. */
void attempts_init(struct attempts *a, const struct target *target,
                   const struct address *source, uint16_t port, int64_t start);

/* Begins an attempt if one is due at `now`, clock_boot_ns(). Nothing blocks. */
void attempts_begin(struct attempts *a, int64_t now);

/* Says that the port may open at `now`: if any attempt has begun, another one is due at once, and
 * the pauses are short again. */
void attempts_hurry(struct attempts *a, int64_t now);

/* Fills in what poll(2) is to wait for. */
void attempts_before_poll(const struct attempts *a, struct pollfd polled[static ATTEMPTS_PENDING]);

/* Looks at what poll(2) has answered. Returns a connected socket, which the caller owns from now
 * on, or -1 if there is none. */
int attempts_after_poll(struct attempts *a, const struct pollfd polled[static ATTEMPTS_PENDING]);

/* Closes all pending sockets. */
void attempts_end(struct attempts *a);

#endif
