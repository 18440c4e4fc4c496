/* One client of the proxy, from its first byte to its last: handshake, the way in,
 * relaying. Memory is the same for each, whatever it sends: one buffer for each way, and
 * nothing is read while that is full. */
#ifndef PORTSMITH_SESSION_H
#define PORTSMITH_SESSION_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "client/proxy/proxyconf.h"
#include "client/proxy/gates.h"

struct session;

/* What all sessions share. */
struct session_shared {
    uv_loop_t *loop;
    const struct proxy_config *config;
    const struct gates *gates;
    unsigned spare; /* descriptors besides the two that are kept for each session */
    bool told_visitor; /* a visitor was refused, and that was said */
    unsigned count; /* of sessions whose memory is still in use */
    LIST_HEAD(session_list, session) sessions;
    void (*one_ended)(struct session_shared *shared); /* there is room again */
};

/* Accepts one connection of `listener` and begins its session, which ends by itself.
 * False, with libuv's error in *failure, if it cannot. */
bool session_accept(struct session_shared *shared, uv_stream_t *listener, int *failure);

/* Cuts all of them; the loop must go on until they have ended. */
void session_end_all(struct session_shared *shared);

#endif
