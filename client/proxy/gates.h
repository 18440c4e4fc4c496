/* Which destinations belong to which of the servers that the user knows. */
#ifndef PORTSMITH_GATES_H
#define PORTSMITH_GATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "client/proxy/gate.h"
#include "common/address.h"
#include "common/error.h"

struct gates {
    struct gate **all; /* in the order of their servers' names */
    size_t count;
};

/* A gate for each server that is known. The caller ends with gates_end and gates_free,
 * also after a failure, whose reason is told. */
bool gates_open(struct gates *gates, uv_loop_t *loop, bool closes_after, struct error *why);

/* The server whose Host is `name`, whatever the case, or the address that `name` is, and
 * whose Open names tcp/`port`, or nothing at all. Nothing is resolved. NULL if there is
 * none. */
struct gate *gates_by_name(const struct gates *gates, const char *name, uint16_t port);

/* As above, for one of the server's addresses as they were last resolved. */
struct gate *gates_by_address(const struct gates *gates, const struct address *address,
                              uint16_t port);

/* A gate whose addresses were never looked up, to be waited for before gates_by_address
 * can tell; NULL if there is none. */
struct gate *gates_unresolved(const struct gates *gates);

/* Has addresses looked up that were last a while ago. */
void gates_refresh(const struct gates *gates);

void gates_end(const struct gates *gates);
void gates_free(struct gates *gates);

#endif
