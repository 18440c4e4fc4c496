/* The network interfaces of this host, as the kernel tells of them. */
#ifndef PORTSMITH_LINKS_H
#define PORTSMITH_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config/config.h"

enum { LINKS_MAX = 256 };

struct link {
    char name[CONFIG_INTERFACE_NAME_SIZE];
    bool is_up; /* and has a carrier */
    bool is_loopback;
    bool has_default_route; /* IPv4 or IPv6: strangers come by it */
    uint32_t received; /* packets, modulo 2^32 */
};

/* Fills in this host's interfaces, LINKS_MAX at most, and returns how many they are: 0 where the
 * kernel does not tell. */
size_t links_find(struct link links[static LINKS_MAX]);

/* Whether the configuration has the interface watched: by its name, or by "any", which means
 * all but loopback. */
bool links_is_watched(const struct link *link, const struct config *config);

/* Fills in the interfaces that strangers come by, and returns how many they are. These are the
 * watched ones; with "any" those of them that have a default route, if any has. */
size_t links_of_strangers(struct link links[static LINKS_MAX], const struct config *config);

/* Whether the address is in the network of one of Docker's bridges; `name` is that bridge's
 * then, and unchanged otherwise. */
bool links_find_docker(const struct address *to, char name[static CONFIG_INTERFACE_NAME_SIZE]);

/* The one of `count` interfaces that has this name, or NULL. */
const struct link *links_by_name(const struct link *links, size_t count, const char *name);

#endif
