/* Other hosts on the links of this one, as the kernel knows them (rtnetlink(7)). */
#ifndef PORTSMITH_NEIGHBOUR_H
#define PORTSMITH_NEIGHBOUR_H

#include <stdint.h>

#include "common/address.h"
#include "daemon/config/limits.h"

enum { NEIGHBOUR_MAC_SIZE = 6 /* bytes */, NEIGHBOUR_MAC_TEXT_SIZE = 18 };

enum neighbour_state {
    NEIGHBOUR_KNOWN,  /* with its MAC address */
    NEIGHBOUR_SILENT, /* it would be on that interface, but does not answer there */
    NEIGHBOUR_BEYOND, /* there is no way to it, or a gateway is on the way */
    NEIGHBOUR_SELF,   /* the address is this host's own */
};

struct neighbour {
    struct address address;
    char interface[CONFIG_INTERFACE_NAME_SIZE]; /* by which it is reached */
    uint8_t mac[NEIGHBOUR_MAC_SIZE];            /* zeros unless it is known */
};

/* Finds the host that has the address; *n is filled in if it is known, or silent. Where the kernel
 * does not know its MAC address, it is told to ask by ARP or neighbour discovery, and the answer is
 * waited for, up to a second and a half. Needs CAP_NET_ADMIN. A host that is reached by something
 * else than Ethernet is silent. */
enum neighbour_state neighbour_find(struct neighbour *n, const struct address *address);

/* Writes the MAC address as iptables-save(8) and nft(8) do. Returns `text`. */
const char *neighbour_format_mac(const struct neighbour *n,
                                 char text[static NEIGHBOUR_MAC_TEXT_SIZE]);

#endif
