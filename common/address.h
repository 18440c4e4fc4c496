/* IPv4 and IPv6 addresses and prefixes, in one 16-byte form. What reads text is in addresstext.c:
 * the helper does without. */
#ifndef PORTSMITH_ADDRESS_H
#define PORTSMITH_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/error.h"

enum { ADDRESS_TEXT_SIZE = 46 }; /* bytes: INET6_ADDRSTRLEN, the zero included */
enum { PREFIX_TEXT_SIZE = ADDRESS_TEXT_SIZE + 4 };
enum { ADDRESS_MAPPED_BITS = 96 }; /* that all IPv4 addresses begin with in their mapped form */

/* An IPv6 address, or an IPv4 address in its mapped form ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), in
 * network byte order. */
struct address {
    uint8_t bytes[16];
};

enum family { IPV4 = 0, IPV6 = 1, FAMILIES = 2 };

struct prefix {
    struct address address;
    uint8_t length; /* the bits of `address` that count, 0 to 128; IPv4 adds 96 */
};

/* The mapped form of the four bytes at `v4`, which are in network byte order. */
/*@ requires \valid_read(v4 + (0 .. 3));
    assigns \nothing; */
struct address address_from_ipv4(const uint8_t v4[4]);

/* Writes the canonical text of inet_ntop(3), for IPv4 without the mapping. Returns `text`. */
const char *address_format(const struct address *a, char text[static ADDRESS_TEXT_SIZE]);

/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_ipv4(const struct address *a);

/* IPV4 for an address in the mapped form, else IPV6. */
enum family address_family(const struct address *a);

/*@ requires \valid_read(a) && \valid_read(b);
    assigns \nothing; */
bool address_equal(const struct address *a, const struct address *b);

/* Whether a host can have the address: it is not unspecified, multicast or broadcast, and not in
 * 0.0.0.0/8. */
/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_unicast(const struct address *a);

/* Whether another host can have the address: it is unicast, and not loopback. */
/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_foreign(const struct address *a);

/* Whether the address is in fe80::/10. Two hosts on two links can have the same such address
 * (RFC 4291, 2.5.6). */
/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_link_local(const struct address *a);

/* Whether a door may be opened to the address: it is foreign, and not link-local. To a link-local
 * address the door would be open on every link. */
/*@ requires \valid_read(a);
    assigns \nothing; */
bool address_is_grantable(const struct address *a);

/* Whether the address is in the prefix. A prefix that is shorter than the mapping, such as ::/0,
 * contains no IPv4 address. */
bool prefix_contains(const struct prefix *p, const struct address *a);

/* ---- addresstext.c ------------------------------------------------------ */

/* Stores the address of a sockaddr_in or sockaddr_in6. False for any other family. */
bool address_from_sockaddr(struct address *a, const struct sockaddr *from);

/* Accepts exactly what inet_pton(3) accepts: no octal, no short forms, no names. A mapped
 * address of IPv6 is the IPv4 address that it holds. */
bool address_parse(struct address *a, const char *text);

/* As address_parse, but an address of IPv6 may have a scope, as in "fe80::1%eth0". The scope is
 * left out. */
bool address_parse_scoped(struct address *a, const char *text);

/* Reads a prefix such as "192.0.2.0/24" or "2001:db8::/32", or an address alone. Bits that are set
 * beyond the length are an error, as they are more often a slip than meant. False with the
 * reason. */
bool prefix_parse(struct prefix *p, const char *text, struct error *why);

/* Writes the prefix, with its length. Returns `text`. */
const char *prefix_format(const struct prefix *p, char text[static PREFIX_TEXT_SIZE]);

/* Whether the whole Internet routes to the address: it is in no private, shared (RFC 6598),
 * link-local, documentation, benchmarking or reserved range (IANA special-purpose registries;
 * RFC 6890). */
bool address_is_global(const struct address *a);

#endif
