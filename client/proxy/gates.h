/* The gates to all servers that the user knows, and which destination belongs to which of them. */
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

/* Makes a gate for each server that is known. The caller ends them with gates_end and
 * gates_free, also after a failure. False with the reason. */
bool gates_open(struct gates *gates, uv_loop_t *loop, bool closes_after, struct error *why);

/* The gate to the server whose Host is `name`, a name or an address, and whose Service names
 * tcp/`port` or names no service. Case does not matter, and `port` is in host order. No name is
 * looked up. NULL if there is no such server. */
struct gate *gates_by_name(const struct gates *gates, const char *name, uint16_t port);

/* As gates_by_name, for one of the server's addresses as they were last looked up. */
struct gate *gates_by_address(const struct gates *gates, const struct address *address,
                              uint16_t port);

/* A gate whose addresses were never looked up: gates_by_address cannot tell before they are.
 * NULL if there is none. */
struct gate *gates_unresolved(const struct gates *gates);

/* Has the addresses of all gates looked up, but for those that were a short while ago. */
void gates_refresh(const struct gates *gates);

/* Ends all gates, as gate_end does. */
void gates_end(const struct gates *gates);

/* Frees all gates, as gate_free does. */
void gates_free(struct gates *gates);

#endif
