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
    bool was_just_made;  /* in news: TCP's handshake was completed, UDP answered */
    bool is_over;        /* it has ended, and is kept for a while for stragglers */
};

typedef void flow_handler(void *into, const struct flow *flow);

/* The connections that one address has with one service. */
struct way {
    const struct address *from;
    const struct service *to;
};

/* Reads what a message of the kernel's says of a connection. False: nothing. */
bool flows_read(struct span message, struct flow *flow);

/* The attributes of such a message, which end with it. NULL where it is too short for any. */
struct span flows_attributes(struct span message);

bool flow_is_on(const struct flow *flow, const struct way *way);

/* Begins a question or an order for connection tracking: `type` is one of IPCTNL_MSG_CT_*,
 * `flags` are those of netlink_begin. */
void flows_begin(union question *q, unsigned type, unsigned flags, enum family family);

/* Asks for the connections on a way, and hands each message of the answer on. An older kernel
 * tells of others too: the caller looks (flow_is_on). 0 or an errno. For an admin's order: the
 * kernel goes through all connections of the host, which takes seconds where there are very
 * many. */
int flows_ask(int *conntrack, const struct way *way, answer_handler *handle, void *into);

/* True if `error`, of netlink_ask, is 0. Otherwise false, with the reason. */
bool flows_explain(int error, struct error *why);

/* Whether the kernel tells of connections. False with the reason. */
bool flows_try(int *conntrack, struct error *why);

#endif
