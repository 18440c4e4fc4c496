#include "client/proxy/route.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/known.h"

/* With several files for one host, the one that opens the port is meant. */
static bool opens(const struct server *server, uint16_t port)
{
    port = server_service_port(server, port);
    for (uint8_t i = 0; i < server->service_count; i++)
        if (server->services[i].protocol == IPPROTO_TCP && server->services[i].port == port)
            return true;
    return server->service_count == 0;
}

/* A dot at the end of a name says that it is whole, and makes no other name of it. */
static bool is_host(const struct server *server, const char *name)
{
    size_t size = strlen(server->host);

    if (size > 1 && server->host[size - 1] == '.')
        size--;
    return strlen(name) == size && strncasecmp(server->host, name, size) == 0;
}

struct gate *route_by_name(const struct route *route, const char *name, uint16_t port)
{
    for (size_t i = 0; i < route->count; i++)
        if (is_host(route->gates[i]->server, name) && opens(route->gates[i]->server, port))
            return route->gates[i];
    return NULL;
}

static bool has_address(const struct gate *gate, const struct address *address)
{
    struct address own;

    for (unsigned i = 0; i < gate->count; i++)
        if (address_from_sockaddr(&own, (const struct sockaddr *)&gate->targets[i].to) &&
            address_equal(&own, address))
            return true;
    return false;
}

struct gate *route_by_address(const struct route *route, const struct address *address,
                              uint16_t port)
{
    for (size_t i = 0; i < route->count; i++)
        if (has_address(route->gates[i], address) && opens(route->gates[i]->server, port))
            return route->gates[i];
    return NULL;
}

struct gate *route_unresolved(const struct route *route)
{
    for (size_t i = 0; i < route->count; i++)
        if (!route->gates[i]->was_resolved)
            return route->gates[i];
    return NULL;
}

void route_refresh(const struct route *route)
{
    for (size_t i = 0; i < route->count; i++)
        gate_refresh(route->gates[i]);
}

static bool make_gates(struct route *route, const struct known *known, uv_loop_t *loop,
                       bool closes_after, struct error *why)
{
    route->gates = calloc(known->count + 1, sizeof(struct gate *));
    if (!route->gates)
        return error_set(why, "out of memory");
    for (size_t i = 0; i < known->count; i++) {
        struct gate *gate = gate_new(loop, known->names[i], closes_after, why);

        if (!gate)
            return false;
        route->gates[route->count++] = gate;
    }
    return true;
}

bool route_open(struct route *route, uv_loop_t *loop, bool closes_after, struct error *why)
{
    struct known known;
    bool good;

    *route = (struct route){0};
    if (!known_find(&known, why))
        return false;
    good = make_gates(route, &known, loop, closes_after, why);
    known_free(&known);
    return good;
}

void route_end(const struct route *route)
{
    for (size_t i = 0; i < route->count; i++)
        gate_end(route->gates[i]);
}

void route_free(struct route *route)
{
    for (size_t i = 0; i < route->count; i++)
        gate_free(route->gates[i]);
    free(route->gates);
    *route = (struct route){0};
}
