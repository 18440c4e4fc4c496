/* What portsmith-cut does, on netlink sockets that it has opened before it was confined.
 *
 * CAP_NET_ADMIN suffices. Only answers of the kernel's are read, and a question that
 * is not answered in time is given up, with the socket it was asked on. */
#ifndef PORTSMITH_CUT_H
#define PORTSMITH_CUT_H

#include "privsep/cut/doors.h"

struct cut {
    int conntrack, sockets; /* netlink sockets; -1: this host has none */
};

/* Opens both sockets. A socket that the host does not have is found missing when it is asked. */
void cut_open(struct cut *cut);
void cut_close(struct cut *cut);

/* Ends the connections to all doors, which are shut. A TCP connection that ends on this host gets a
 * reset on both ends. Of any other connection, connection tracking forgets that it was established:
 * what the server sends first can bring one back where no NAT is in between
 * (net.netfilter.nf_conntrack_tcp_loose).
 * The kernel goes through all its connections two or three times, however many doors there are, and
 * `until` (CLOCK_BOOTTIME) at the latest. */
void cut_connections(struct cut *cut, const struct doors *doors, int64_t until,
                     struct cut_result *result);

/* Has the kernel tell on `news` of the connections to a door. */
void cut_ask(int news, const struct cut_door *door, struct cut_result *result);

#endif
