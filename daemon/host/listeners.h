/* Whether a program of this host listens on a service's port. */
#ifndef PORTSMITH_LISTENERS_H
#define PORTSMITH_LISTENERS_H

#include "common/service.h"

enum listeners {
    LISTENERS_NONE,
    LISTENERS_LOCAL, /* on loopback alone */
    LISTENERS_REACHABLE,
};

/* Looks into /proc/net/{tcp,udp} and those of IPv6: proc_net(5). */
enum listeners listeners_find(const struct service *service);

typedef void listeners_handler(void *into, const struct service *service);

/* Hands on each TCP and UDP port on which a program listens beyond loopback, in no order,
 * some more than once. */
void listeners_each(listeners_handler *handle, void *into);

#endif
