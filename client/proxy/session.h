/* A session: one client of the proxy, from its first byte to its last. It shakes hands, finds a
 * way to the destination, and relays. Each session takes the same memory, whatever its client
 * sends: it has one buffer for each direction, and reads nothing while that is full. */
#ifndef PORTSMITH_SESSION_H
#define PORTSMITH_SESSION_H

#include <stdbool.h>
#include <uv.h>

#include "client/proxy/proxyconf.h"
#include "client/proxy/gates.h"

struct session;

/* What all sessions share. */
struct session_shared {
    uv_loop_t *loop;
    const struct proxy_config *config;
    const struct gates *gates;
    unsigned spare;    /* descriptors besides the two that are kept for each session */
    bool told_visitor; /* the log was told that a visitor was refused */
    unsigned count;    /* how many sessions have memory, those that are ending included */
    struct session *sessions; /* the newest of those that are not ending; NULL: there is none */
    void (*one_ended)(struct session_shared *shared); /* is called when there is room again */
};

/* Accepts one connection of `listener` and begins its session, which ends by itself. False, with
 * libuv's error in *failure, if it cannot, or if the client may not use the proxy. */
bool session_accept(struct session_shared *shared, uv_stream_t *listener, int *failure);

/* Aborts all sessions. They end as the loop goes on. */
void session_end_all(struct session_shared *shared);

#endif
