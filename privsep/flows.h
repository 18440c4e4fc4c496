/* The connections that the kernel's connection tracking knows (ctnetlink:
 * linux/netfilter/nfnetlink_conntrack.h), passed on to another host or not, in the fixed
 * structures of netlink(7). To ask takes CAP_NET_ADMIN.
 *
 * `conntrack` is a socket of netlink_open(NETLINK_NETFILTER), -1 where the host has none. A
 * question that the kernel does not answer within a second closes the socket for good
 * (netlink_ask). */
#ifndef PORTSMITH_FLOWS_H
#define PORTSMITH_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"
#include "common/error.h"
#include "common/service.h"
#include "privsep/netlink.h"

/* A connection, as connection tracking has it. */
struct flow {
    uint32_t id;         /* unique among those that live; linux/nf_conntrack */
    struct address from; /* who began it */
    struct service to;   /* what it was sent to, before any DNAT */
    bool was_made;       /* TCP's handshake was completed, UDP answered */
    bool was_just_made;  /* in news: that is what the news are */
    bool is_over;        /* it has ended, and is kept for a while for stragglers */
};

/* Reads what a message of the kernel's says of a connection. False: nothing. */
bool flows_read(struct span message, struct flow *flow);

/* The attributes of such a message, which end with it. NULL where it is too short for any. */
struct span flows_attributes(struct span message);

/* Begins a question or an order for connection tracking: `type` is one of IPCTNL_MSG_CT_*,
 * `flags` are those of netlink_begin. */
void flows_begin(union question *q, unsigned type, unsigned flags, enum family family);

/* True if `error`, of netlink_ask, is 0. Otherwise false, with the reason. */
bool flows_explain(int error, struct error *why);

/* Whether the kernel tells of connections. False with the reason. */
bool flows_try(int *conntrack, struct error *why);

#endif
