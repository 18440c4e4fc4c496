/* Which IPv6 addresses stand for an IPv4 host behind a NAT64. Such a host never sees the address
 * that this machine sends from, so a knock to it must not sign that address. */
#ifndef PORTSMITH_NAT64_H
#define PORTSMITH_NAT64_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"

enum { NAT64_PREFIXES = 8 }; /* how many prefixes of one network are looked at */

/* Whether the address is in 64:ff9b::/96 (RFC 6052) or 64:ff9b:1::/48 (RFC 8215), which are for
 * NAT64 alone. */
bool nat64_is_well_known(const struct address *a);

/* Stores the IPv4 address that stands in `a` behind a prefix of `length` bits (RFC 6052, 2.2).
 * False if NAT64 has no prefixes of that length, or if bits are set that must be zero. */
bool nat64_embedded(const struct address *a, unsigned length, struct address *v4);

/* Whether `target` holds one of the `count` IPv4 addresses at `v4`, behind a prefix of any length.
 * Only then can nat64_translates be true. */
bool nat64_may_translate(const struct address *target, const struct address *v4, size_t count);

/* Whether `target` holds one of the IPv4 addresses at `v4` behind the prefix of one of the
 * synthetic addresses. Those are what nat64_look_up has found: they hold 192.0.0.170 or
 * 192.0.0.171, the IPv4 addresses of ipv4only.arpa, behind a prefix of this network's NAT64
 * (RFC 7050, 3). */
bool nat64_translates(const struct address *target, const struct address *v4, size_t count,
                      const struct address *synthetic, size_t synthetic_count);

/* Asks the resolver for the IPv6 addresses of ipv4only.arpa, which has none: a resolver beside a
 * NAT64 makes them up. Returns how many there are, 0 in a network without NAT64. Takes as long as
 * the resolver does. */
size_t nat64_look_up(struct address synthetic[static NAT64_PREFIXES]);

#endif
