/* The source: the local address that packets to a target leave from. A host with several uplinks
 * may send the datagrams of UDP by one and the connections of TCP by another, as the kernel takes
 * the protocol into account when it chooses an uplink. For IPv6 it does so by default, for IPv4
 * with net.ipv4.fib_multipath_hash_policy=1. */
#ifndef PORTSMITH_SOURCE_H
#define PORTSMITH_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/target.h"
#include "common/address.h"
#include "common/error.h"

/* Stores the source of a TCP connection to `port` of the target, in host order. No packet is sent:
 * with TCP Fast Open the kernel chooses the source, and puts the connection off until there is data
 * (TCP_FASTOPEN_CONNECT, Linux 4.11; tcp_fastopen_defer_connect in its net/ipv4/tcp_fastopen.c).
 * Where Fast Open is switched off, or suspended for a while
 * (net.ipv4.tcp_fastopen_blackhole_timeout_sec), this is the source of UDP. False with the reason,
 * such as that there is no route. */
bool source_of_tcp(const struct target *target, uint16_t port, struct address *source,
                   struct error *why);

/* Binds a socket of the target's family to the source, and to no port yet. False with errno, which
 * is EADDRNOTAVAIL if this machine no longer has that address. */
bool source_bind(int fd, const struct target *target, const struct address *source);

/* Stores the source of a socket that has been connected, or is about to be. False with errno. */
bool source_of_socket(int fd, struct address *source);

/* Whether `source` is the source of such a socket. */
bool source_is(int fd, const struct address *source);

/* Makes a socket of this type and protocol (socket(2)) that is connected to the target, or about to
 * be if it does not block. Its source is `from`, or the kernel's choice if that is NULL. The socket
 * is bound only if the kernel chooses another source than `from`: a bound socket may take the
 * uplink of another address, whose provider drops its packets. Returns the socket, which the caller
 * closes, or -1 with errno. */
int source_connect(const struct target *target, int type, int protocol,
                   const struct address *from);

/* Makes a UDP socket that is connected to the target, and stores the local address that its packets
 * leave from. Returns the socket, which the caller closes, or -1 with the reason, such as that
 * there is no route. */
int source_connect_udp(const struct target *target, struct address *source, struct error *why);

/* As source_connect, by TCP and without blocking, for a connection that the service at the other
 * end never gets to see, provided that the caller closes it as soon as it is there. The kernel
 * keeps the last ACK of the handshake back, for 40 to 200 ms (TCP_QUICKACK in tcp(7);
 * tcp_rcv_synsent_state_process). Closing sends a reset in place of that ACK (SO_LINGER of 0 s),
 * and the server forgets a connection that it has not accepted yet. A caller who closes it later
 * than that is seen. */
int source_connect_unseen(const struct target *target, const struct address *from);

/* What an errno of a socket that cannot be connected means, and what to do about it. */
const char *source_explain(int error);

#endif
