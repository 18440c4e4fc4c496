/* The local address that packets to a target leave from. A host with several uplinks may
 * send the datagrams of UDP by one and the connections of TCP by another, for the kernel
 * counts the protocol in when it chooses: IPv6 does so by default, IPv4 with
 * net.ipv4.fib_multipath_hash_policy=1. */
#ifndef PORTSMITH_SOURCE_H
#define PORTSMITH_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/target.h"
#include "common/address.h"
#include "common/error.h"

/* Where a TCP connection to `port` of the target would come from. The kernel chooses as
 * connect(2) does, and sends nothing: with TCP Fast Open it puts the connection off until
 * there is data (TCP_FASTOPEN_CONNECT, Linux 4.11; tcp_fastopen_defer_connect in its
 * net/ipv4/tcp_fastopen.c). If Fast Open is switched off, or suspended for a while
 * (net.ipv4.tcp_fastopen_blackhole_timeout_sec): where UDP would come from. False with the
 * reason, such as no route. */
bool source_of_tcp(const struct target *target, uint16_t port, struct address *source,
                   struct error *why);

/* Binds a socket of the target's family to the local address, and to no port yet. False
 * with errno: EADDRNOTAVAIL if this machine has that address no longer. */
bool source_bind(int fd, const struct target *target, const struct address *source);

/* Where a socket that has been connected, or is about to be, leaves from. False with errno. */
bool source_of_socket(int fd, struct address *source);
bool source_is(int fd, const struct address *source);

/* A socket of this type and protocol (socket(2)) that is connected to the target, or about
 * to be if it does not block. It leaves from `from`, or from where the kernel chooses if
 * that is NULL. It is bound only if the kernel chooses another: one that is bound may take
 * the uplink of another address, whose provider drops its packets. The caller closes it.
 * -1 with errno. */
int source_connect(const struct target *target, int type, int protocol,
                   const struct address *from);

/* The same by TCP, without blocking, for a connection that what listens at the other end never
 * gets: if it is closed as soon as it is there. The kernel keeps the last ACK of the handshake
 * back, for 40 to 200 ms (TCP_QUICKACK in tcp(7); tcp_rcv_synsent_state_process), and closing
 * sends a reset in its place (SO_LINGER of 0 s), at which the server forgets what it has not
 * accepted yet. Whoever is later than that is seen. */
int source_connect_unseen(const struct target *target, const struct address *from);

/* What it means, and what to do, that a socket cannot be connected, by its errno. */
const char *source_explain(int error);

#endif
