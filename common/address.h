/* IPv4 and IPv6 addresses and prefixes, in one 16-byte form. */
#ifndef PORTSMITH_ADDRESS_H
#define PORTSMITH_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/error.h"

enum { ADDRESS_TEXT_SIZE = 46 }; /* INET6_ADDRSTRLEN, the zero included */
enum { PREFIX_TEXT_SIZE = ADDRESS_TEXT_SIZE + 4 };

/* An IPv6 address, or an IPv4 one in its mapped form ::ffff:a.b.c.d
 * (RFC 4291, 2.5.5.2), network byte order. */
struct address {
    uint8_t bytes[16];
};

enum family { IPV4 = 0, IPV6 = 1, FAMILIES = 2 };

struct prefix {
    struct address address;
    uint8_t length; /* bits of `address` that count, 0 to 128; IPv4 adds 96 */
};

/* The mapped form of the four bytes at `v4`, network byte order. */
/*@ requires \valid_read(v4 + (0 .. 3));
    assigns \nothing; */
struct address address_from_ipv4(const uint8_t v4[4]);

/* From a sockaddr_in or sockaddr_in6; false for any other family. */
bool address_from_sockaddr(struct address *a, const struct sockaddr *from);

/* Accepts exactly what inet_pton accepts: no octal, no short forms, no names.
 * A mapped IPv6 text is the IPv4 address it holds. */
bool address_parse(struct address *a, const char *text);

/* The same, and the scope of an IPv6 address, such as the "%eth0" of "fe80::1%eth0", is
 * left out. */
bool address_parse_scoped(struct address *a, const char *text);

/* inet_ntop's canonical text; IPv4 without its mapping. Returns `text`. */
const char *address_format(const struct address *a, char text[static ADDRESS_TEXT_SIZE]);

/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_ipv4(const struct address *a);

/* IPV4 for an address in the mapped form, else IPV6. */
enum family address_family(const struct address *a);

/*@ requires \valid_read(a) && \valid_read(b);
    assigns \nothing; */
bool address_equal(const struct address *a, const struct address *b);

/* False for what no host can have: unspecified, multicast, broadcast, and 0.0.0.0/8. */
/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_unicast(const struct address *a);

/* Whether another host can have it: unicast, and no loopback. */
/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_foreign(const struct address *a);

/* In fe80::/10. Two hosts on two links can have the same (RFC 4291, 2.5.6). */
/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_link_local(const struct address *a);

/* Whether a door may be opened to it: foreign, and not link-local, as the door would be
 * open on every link. */
/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_grantable(const struct address *a);

/* True where the whole Internet routes to it: no private, shared (RFC 6598),
 * link-local, documentation, benchmarking or reserved range (IANA special
 * purpose registries; RFC 6890). */
bool address_is_global(const struct address *a);

/* "192.0.2.0/24", "2001:db8::/32", or an address alone. Bits set beyond the
 * length are an error: they are more often a slip than meant. */
bool prefix_parse(struct prefix *p, const char *text, struct error *why);
const char *prefix_format(const struct prefix *p, char text[static PREFIX_TEXT_SIZE]);
bool prefix_contains(const struct prefix *p, const struct address *a);

#endif
