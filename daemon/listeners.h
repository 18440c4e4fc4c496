/* Whether a program of this host listens on a service's port. */
#ifndef PORTSMITH_LISTENERS_H
#define PORTSMITH_LISTENERS_H

#include "service.h"

enum listeners {
    LISTENERS_NONE,
    LISTENERS_LOCAL, /* on loopback alone */
    LISTENERS_REACHABLE,
};

/* Looks into /proc/net/{tcp,udp} and those of IPv6: proc_net(5). */
enum listeners listeners_find(const struct service *service);

#endif
