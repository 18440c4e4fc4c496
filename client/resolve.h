/* Resolving: from the name of a server to the targets that a knock goes to. */
#ifndef PORTSMITH_RESOLVE_H
#define PORTSMITH_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/server.h"
#include "client/target.h"
#include "common/error.h"

/* Stores the addresses of `host`, which is a name or an address, each once and in the resolver's
 * order. `port` is in host order, and `family` is AF_UNSPEC, AF_INET or AF_INET6. Addresses that no
 * server can have (target_is_possible) are left out, and so are those beyond TARGETS_MAX. With
 * `signs`, finds out which targets may_sign. Where an address looks as one behind a NAT64 would,
 * that takes one look-up more, or with AF_INET6 two. Returns how many targets there are, at least
 * 1, or 0 with the reason. */
unsigned resolve_targets(struct target targets[static TARGETS_MAX], const char *host,
                         uint16_t port, int family, bool signs, struct error *why);

/* As resolve_targets, of the server's Host, or in its place of each of its members, which share the
 * room evenly. With several, those that have no address are left out: *why then names the last of
 * them. Its text is empty if there is none. */
unsigned resolve_server(struct target targets[static TARGETS_MAX], const struct server *server,
                        int family, struct error *why);

#endif
