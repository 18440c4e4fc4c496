/* Towards an address that stands for an IPv4 host behind a NAT64, the address that this
 * machine sends from is never the one that the host sees: none is to be signed. */
#ifndef PORTSMITH_NAT64_H
#define PORTSMITH_NAT64_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"

enum { NAT64_PREFIXES = 8 }; /* of one network, that are looked at */

/* In 64:ff9b::/96 (RFC 6052) or 64:ff9b:1::/48 (RFC 8215), which are for NAT64 alone. */
bool nat64_is_well_known(const struct address *a);

/* The IPv4 address in `a` behind a prefix of so many bits (RFC 6052, 2.2); false if
 * that is no length of such a prefix, or the bits that must be zero are not. */
bool nat64_embedded(const struct address *a, unsigned length, struct address *v4);

/* Whether the IPv4 address in `target` is one of `v4`, behind a prefix of some length:
 * only then can nat64_translates be true. */
bool nat64_may_translate(const struct address *target, const struct address *v4, size_t count);

/* The same behind a prefix that one of `known` has, too: those are IPv6 addresses of
 * ipv4only.arpa, whose IPv4 addresses are 192.0.0.170 and .171 (RFC 7050, 3). */
bool nat64_translates(const struct address *target, const struct address *v4, size_t count,
                      const struct address *synthetic, size_t synthetic_count);

/* Asks the resolver for the IPv6 addresses of ipv4only.arpa; how many, 0 in a network
 * without NAT64. May take as long as the resolver does. */
size_t nat64_look_up(struct address synthetic[static NAT64_PREFIXES]);

#endif
