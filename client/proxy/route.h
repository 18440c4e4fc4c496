/* Which destinations belong to which of the servers that the user knows. */
#ifndef PORTSMITH_ROUTE_H
#define PORTSMITH_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "client/proxy/gate.h"
#include "common/address.h"
#include "common/error.h"

struct route {
    struct gate **gates; /* in the order of their servers' names */
    size_t count;
};

/* A gate for each server that is known. The caller ends with route_end and route_free,
 * also after a failure, whose reason is told. */
bool route_open(struct route *route, uv_loop_t *loop, bool closes_after, struct error *why);

/* The server whose Host is `name`, whatever the case, or the address that `name` is, and
 * whose Open names tcp/`port`, or nothing at all. Nothing is resolved. NULL if there is
 * none. */
struct gate *route_by_name(const struct route *route, const char *name, uint16_t port);

/* As above, for one of the server's addresses as they were last resolved. */
struct gate *route_by_address(const struct route *route, const struct address *address,
                              uint16_t port);

/* A gate whose addresses were never looked up, to be waited for before route_by_address
 * can tell; NULL if there is none. */
struct gate *route_unresolved(const struct route *route);

/* Has addresses looked up that were last a while ago. */
void route_refresh(const struct route *route);

void route_end(const struct route *route);
void route_free(struct route *route);

#endif
