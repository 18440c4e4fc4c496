/* The end of connections that came in through a grant, once its door is shut, in the fixed
 * structures of netlink(7). Connection tracking knows all of them (privsep/flows.h). TCP
 * sockets of this host can be ended so that both ends know of it (sock_diag(7)).
 *
 * CAP_NET_ADMIN suffices. Only answers of the kernel's are read, and a question that
 * is not answered within a second is given up, with the socket it was asked on. */
#ifndef PORTSMITH_CUT_H
#define PORTSMITH_CUT_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/flows.h"

struct cut {
    int conntrack, sockets; /* netlink sockets; -1: this host has none */
};

/* Opens both sockets, before the process is confined. A socket that the host does not have
 * is found missing when it is asked. */
void cut_open(struct cut *cut);
void cut_close(struct cut *cut);

/* Ends the connections on a way. A TCP connection that ends on this host gets a reset on both
 * ends. Of any other connection, connection tracking forgets that it was established: what the
 * server sends first can bring one back where no NAT is in between
 * (net.netfilter.nf_conntrack_tcp_loose). *ended says how many there were.
 * False with the reason: some may be left. It takes as long as flows_ask, several times. */
bool cut_connections(struct cut *cut, const struct way *way, unsigned *ended, struct error *why);

#endif
