/* Whether a program of this host listens on a service's port. */
#ifndef PORTSMITH_LISTENERS_H
#define PORTSMITH_LISTENERS_H

#include "common/service.h"

enum listeners {
    LISTENERS_NONE,
    LISTENERS_LOCAL, /* on loopback alone */
    LISTENERS_REACHABLE,
};

/* Where programs listen on the service's port, in IPv4 or IPv6: the widest reach that any of
 * them has. Reads /proc/net/{tcp,udp,tcp6,udp6} (proc_net(5)); what cannot be read has no
 * listeners. */
enum listeners listeners_find(const struct service *service);

typedef void listeners_handler(void *into, const struct service *service);

/* Calls `handle`, handing on `into`, for each TCP and UDP port on which a program listens
 * beyond loopback. The ports come in no order, and some come more than once. */
void listeners_each(listeners_handler *handle, void *into);

#endif
