#include "client/proxy/gates.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/known.h"

/* Whether the server file opens tcp/`port`. If several files are for one host, this tells
 * which of them is meant. */
static bool opens(const struct server *server, uint16_t port)
{
    port = server_service_port(server, port);
    for (uint8_t i = 0; i < server->service_count; i++)
        if (server->services[i].protocol == IPPROTO_TCP && server->services[i].port == port)
            return true;
    return server->service_count == 0;
}

/* Whether `name` is the server's Host. A dot at the end of a Host says that the name is whole,
 * and does not make it another name. */
static bool is_host(const struct server *server, const char *name)
{
    size_t size = strlen(server->host);

    if (size > 1 && server->host[size - 1] == '.')
        size--;
    return strlen(name) == size && strncasecmp(server->host, name, size) == 0;
}

struct gate *gates_by_name(const struct gates *gates, const char *name, uint16_t port)
{
    for (size_t i = 0; i < gates->count; i++)
        if (is_host(gates->all[i]->server, name) && opens(gates->all[i]->server, port))
            return gates->all[i];
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

struct gate *gates_by_address(const struct gates *gates, const struct address *address,
                              uint16_t port)
{
    for (size_t i = 0; i < gates->count; i++)
        if (has_address(gates->all[i], address) && opens(gates->all[i]->server, port))
            return gates->all[i];
    return NULL;
}

struct gate *gates_unresolved(const struct gates *gates)
{
    for (size_t i = 0; i < gates->count; i++)
        if (!gates->all[i]->was_resolved)
            return gates->all[i];
    return NULL;
}

void gates_refresh(const struct gates *gates)
{
    for (size_t i = 0; i < gates->count; i++)
        gate_refresh(gates->all[i]);
}

bool gates_open(struct gates *gates, uv_loop_t *loop, bool closes_after, struct error *why)
{
    struct known known;
    bool good;

    *gates = (struct gates){0};
    if (!known_find(&known, why))
        return false;
    gates->all = calloc(known.count + 1, sizeof(struct gate *));
    good = gates->all != NULL;
    if (!good)
        error_set(why, "out of memory");
    for (size_t i = 0; good && i < known.count; i++) {
        struct gate *gate = gate_new(loop, known.names[i], closes_after, why);

        good = gate != NULL;
        if (gate)
            gates->all[gates->count++] = gate;
    }
    known_free(&known);
    return good;
}

void gates_end(const struct gates *gates)
{
    for (size_t i = 0; i < gates->count; i++)
        gate_end(gates->all[i]);
}

void gates_free(struct gates *gates)
{
    for (size_t i = 0; i < gates->count; i++)
        gate_free(gates->all[i]);
    free(gates->all);
    *gates = (struct gates){0};
}
