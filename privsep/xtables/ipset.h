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

enum {
    IPSET_TIMEOUT_MAX = 2147483, /* seconds */
    IPSET_ORDER_MAX = 256, /* bytes of an order and what is sent behind all orders, with room to
                              spare */
};

struct ipset {
    int fd;      /* netlink socket; -1: the kernel has none, or once did not answer */
    size_t size; /* bytes of orders that were not sent yet */
    uint8_t bytes[8192];
};

/* Opens a socket, before the process is confined. That the kernel has no sets is found out
 * when it is asked for something. */
void ipset_open(struct ipset *set);

/* Closes the socket. The sets stay. */
void ipset_close(struct ipset *set);

/* Sends an order of `size` bytes (ipsetorder.h). */
int ipset_run(struct ipset *set, const void *order, size_t size);

/* Has an order about an element be about this one, which ends after `timeout` seconds,
 * IPSET_TIMEOUT_MAX at most. To put in one that is there changes its end, and to take out one that
 * is not is no error. Such orders are sent together, some of them now. */
int ipset_put(struct ipset *set, const void *order, size_t size, const struct address *address,
              const struct service *service, uint32_t timeout);

/* Sends the orders that were not sent yet. Where one was not followed, the others may have been. */
int ipset_send(struct ipset *set);

/* Whether a set could not be removed as it, or sets at all, are not there. */
bool ipset_is_absent(int error);

/* True if `error` is 0. Otherwise false, with the reason, which names the set. */
bool ipset_is_done(int error, const char *name, struct error *why);

/* The sets that grants are kept in, by family: "-m set --match-set NAME src,dst". A set that is
 * filled anew has the other name until it takes the old set's place. */
extern const char *const ipset_names[FAMILIES];
#define IPSET_NEXT "portsmith-next"

#endif
