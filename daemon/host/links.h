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
    bool has_default_route; /* IPv4 or IPv6: where strangers come from */
    uint32_t received; /* packets, modulo 2^32 */
};

/* How many there are, of which those beyond LINKS_MAX are left out. */
size_t links_find(struct link links[static LINKS_MAX]);

/* Whether the configuration has it watched: by name, or by "any", which loopback is not. */
bool links_is_watched(const struct link *link, const struct config *config);

/* Those that strangers come by: that are watched, and of "any" those with a default route, if
 * there are some. How many. */
size_t links_of_strangers(struct link links[static LINKS_MAX], const struct config *config);

/* Whether an address is behind a bridge of Docker's, docker0 or br- and the network's id; its
 * name. */
bool links_find_docker(const struct address *to, char name[static CONFIG_INTERFACE_NAME_SIZE]);

/* That of this name, or NULL. */
const struct link *links_by_name(const struct link *links, size_t count, const char *name);

#endif
