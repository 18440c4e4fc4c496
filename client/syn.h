/* How a knock is sent as the data of a TCP SYN. */
#ifndef PORTSMITH_SYN_H
#define PORTSMITH_SYN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/target.h"
#include "common/error.h"

/* Sends one SYN with `size` bytes of data, DATAGRAM_MAX at most. The SYN is not repeated, and no
 * socket is left for what comes back. It is sent by TCP Fast Open without a cookie (RFC 7413;
 * TCP_FASTOPEN_NO_COOKIE, Linux 4.15). That needs no privilege, but bit 0 of net.ipv4.tcp_fastopen,
 * for IPv6 too. Where it fails, the SYN is sent by a raw socket, which needs CAP_NET_RAW. The SYN
 * leaves from `from`, or from where the kernel chooses if that is NULL. False with the reason. */
bool syn_send(const struct target *target, const struct address *from, const uint8_t *bytes,
              size_t size, struct error *why);

#endif
