/* Connecting to one address whose port is about to open. A SYN that comes too early
 * is lost, and the kernel repeats it only after a second (RFC 6298, 2.1): so a fresh
 * one is sent by another socket after a short pause, while those before it stay
 * pending, for an answer may take longer than the pause. Whichever is answered first
 * is the connection; the others are closed before they are, so that the server never
 * has them to accept. */
#ifndef PORTSMITH_ATTEMPTS_H
#define PORTSMITH_ATTEMPTS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/target.h"
#include "common/address.h"

enum { ATTEMPTS_PENDING = 4 }; /* at one time; the oldest gives way */

struct attempts {
    struct target target;
    const struct address *source; /* that they leave from; the owner's, and may change */
    int fds[ATTEMPTS_PENDING]; /* -1 where none is pending */
    unsigned next;             /* place of the next one, and of the oldest */
    bool begun;                /* there has been one */
    bool unseen;               /* source_connect_unseen; set before the first one begins */
    int64_t due;               /* when the next one begins, clock_boot_ns() */
    int64_t pause;             /* from that one to the one after, nanoseconds */
    int error;                 /* errno of the last one that failed; 0 if none has */
};

/* To `port` of the target, TCP, the first one at `start`, clock_boot_ns(), each from what
 * `source` is when it begins. */
void attempts_init(struct attempts *a, const struct target *target,
                   const struct address *source, uint16_t port, int64_t start);

/* Begins one, if one is due at `now`. Nothing blocks. */
void attempts_begin(struct attempts *a, int64_t now);

/* The port may open now: makes one due at once, if any has begun, and the pauses
 * short again. */
void attempts_hurry(struct attempts *a, int64_t now);

/* What poll(2) is to wait for. */
void attempts_before_poll(const struct attempts *a, struct pollfd polled[static ATTEMPTS_PENDING]);

/* What poll(2) has said: returns a connected socket, now the caller's, or -1. */
int attempts_after_poll(struct attempts *a, const struct pollfd polled[static ATTEMPTS_PENDING]);

/* Closes all that are pending. */
void attempts_end(struct attempts *a);

#endif
