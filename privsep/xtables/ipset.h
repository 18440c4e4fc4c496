/* Sets of addresses and ports in the kernel, which iptables' rules refer to (ipset(8)).
 *
 * Ordered over netlink(7), as linux/netfilter/ipset/ip_set.h has it, protocol 6 (since
 * Linux 2.6.39); CAP_NET_ADMIN suffices. Nothing is read but whether an order was followed.
 * Functions that return int give 0 or an errno, among them the IPSET_ERR_* of that header. */
#ifndef PORTSMITH_IPSET_H
#define PORTSMITH_IPSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/error.h"
#include "common/service.h"

enum { IPSET_TIMEOUT_MAX = 2147483 }; /* seconds */

struct ipset {
    int fd;          /* netlink socket; -1: the kernel has none, or once did not answer */
    size_t capacity; /* elements that each set takes */
    size_t size, at; /* orders that were not sent yet: bytes, and where the last one begins */
    uint8_t bytes[8192];
};

/* Opens a socket, before the process is confined. That the kernel has no sets is found out
 * when it is asked for something. */
void ipset_open(struct ipset *set, size_t capacity);

/* Closes the socket. The sets stay. */
void ipset_close(struct ipset *set);

/* Makes a set of one family, which must not be there. Removes a set, which no rule may refer
 * to. Has two sets change their names. */
int ipset_create(struct ipset *set, const char *name, enum family family);
int ipset_destroy(struct ipset *set, const char *name);
int ipset_swap(struct ipset *set, const char *name, const char *other);

/* Has an element of the set `name` end after `timeout` seconds, IPSET_TIMEOUT_MAX at most; adds it
 * where it is not there. 0: takes it out, if it is there. Such orders are sent together, some of
 * them now. */
int ipset_put(struct ipset *set, const char *name, const struct address *address,
              const struct service *service, uint32_t timeout);

/* Sends the orders that were not sent yet. Where one was not followed, the others may have been. */
int ipset_send(struct ipset *set);

/* True if `error` is 0. Otherwise false, with the reason, which names the set. */
bool ipset_is_done(int error, const char *name, struct error *why);

/* The sets that grants are kept in, by family. "-m set --match-set NAME src,dst". */
extern const char *const ipset_names[FAMILIES];

#endif
