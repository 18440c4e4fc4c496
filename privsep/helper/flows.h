/* The connections that came in through a grant, and their end, in netlink(7)'s fixed
 * structures: connection tracking (ctnetlink: linux/netfilter/nfnetlink_conntrack.h)
 * knows of all, passed on to another host or not; TCP sockets (sock_diag(7)) can be ended
 * so that both ends know.
 *
 * CAP_NET_ADMIN suffices. Only answers of the kernel's are read, and a question that
 * is not answered within a second is given up, with the socket it was asked on. */
#ifndef PORTSMITH_FLOWS_H
#define PORTSMITH_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"
#include "common/error.h"
#include "common/service.h"
#include "privsep/netlink.h"

struct flows {
    int conntrack, sockets; /* netlink sockets; -1: this host has none */
};

/* A connection, as connection tracking has it. */
struct flow {
    uint32_t id;         /* unique among those that live; linux/nf_conntrack */
    struct address from; /* who began it */
    struct service to;   /* what it was sent to, before any DNAT */
    bool was_just_made;  /* in news: TCP's handshake was completed, UDP answered */
    bool is_over;        /* kept for a while, for stragglers */
};

typedef void flow_handler(void *into, const struct flow *flow);

/* Opens the sockets; before the process is confined. What the host does not have is
 * found out when it is asked. */
void helper_flows_open(struct flows *flows);
void helper_flows_close(struct flows *flows);

/* Whether the kernel tells of connections. False with the reason. */
bool helper_flows_try(struct flows *flows, struct error *why);

/* What a message of the kernel's says of a connection; false: nothing. */
bool helper_flows_read(struct span message, struct flow *flow);

/* Ends the connections from an address to a service. TCP that ends on this host gets a
 * reset on both ends. Of the others connection tracking forgets that they were
 * established: what the server sends first can bring one back where no NAT is in
 * between (net.netfilter.nf_conntrack_tcp_loose). *ended says how many there were.
 * False with the reason: some may be left. For an admin's order: the kernel goes through
 * all connections of the host for it, which takes seconds where there are very many. */
bool helper_flows_end(struct flows *flows, const struct address *from, const struct service *to,
                      unsigned *ended, struct error *why);

#endif
