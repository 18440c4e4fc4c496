/* Which connections came in through a grant, and their end. Asked of the kernel over
 * netlink(7), in fixed structures: its connection tracking table (ctnetlink:
 * linux/netfilter/nfnetlink_conntrack.h) tells of all, passed on to another host or
 * not; its TCP sockets (sock_diag(7)) can be ended so that both ends know.
 *
 * CAP_NET_ADMIN suffices. Only answers of the kernel's are read, and a question that
 * is not answered within a second is given up, with the socket it was asked on: what
 * it would have told is unknown from then on. */
#ifndef PORTSMITH_FLOWS_H
#define PORTSMITH_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "error.h"
#include "service.h"

struct flows {
    int conntrack, sockets; /* netlink sockets; -1: this host has none */
    int news;               /* another, that hears of new connections while it listens; -1 too
                               where the host tells of none (nf_conntrack_events) */
    bool listening;
};

/* A connection, as connection tracking has it. */
struct flow {
    uint32_t id;         /* unique among those that live; linux/nf_conntrack */
    struct address from; /* who began it */
    struct service to;   /* what it was sent to, before any DNAT */
};

typedef void flow_handler(void *into, const struct flow *flow);

/* Opens the sockets; before the process is confined. What the host does not have is
 * found out when it is asked. */
void helper_flows_open(struct flows *flows);
void helper_flows_close(struct flows *flows);

/* Hands on every connection of one family that was made: for TCP the handshake was
 * completed, for UDP the service has answered. From an address to a service, or, where
 * one is NULL, from any, to any. One that has ended is told of for a while longer (TCP:
 * nf_conntrack_tcp_timeout_time_wait, 120 s by default; 10 s after a reset). The kernel
 * goes through all that the host has: milliseconds. False: unknown, with the reason. */
bool helper_flows_each(struct flows *flows, bool ipv6, const struct address *from,
                       const struct service *to, flow_handler *handle, void *into,
                       struct error *why);

/* From here on the kernel tells of each connection as it begins, made or not. False
 * where it does not. */
bool helper_flows_listen(struct flows *flows);

/* Hands on all that began, in either family, since then or the last time, and listens no
 * more. False: of some it was not told, as they were too many. */
bool helper_flows_hear(struct flows *flows, flow_handler *handle, void *into);

/* Ends the connections from an address to a service. TCP that ends on this host gets a
 * reset on both ends. Of the others connection tracking forgets that they were
 * established: what the server sends first can bring one back where no NAT is in
 * between (net.netfilter.nf_conntrack_tcp_loose). *ended says how many there were.
 * False with the reason: some may be left. */
bool helper_flows_end(struct flows *flows, const struct address *from, const struct service *to,
                      unsigned *ended, struct error *why);

#endif
