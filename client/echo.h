/* How a knock is sent as the data of an ICMP or ICMPv6 echo request. */
#ifndef PORTSMITH_ECHO_H
#define PORTSMITH_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/target.h"
#include "common/error.h"

/* Sends one echo request (RFC 792; RFC 4443, 4.1) with `size` bytes of data, DATAGRAM_MAX at
 * most. The caller needs a group in net.ipv4.ping_group_range (icmp(7)), which counts for IPv6,
 * too, or CAP_NET_RAW. The request leaves from `from`, or from where the kernel chooses if that is
 * NULL. False with the reason. */
bool echo_send(const struct target *target, const struct address *from, const uint8_t *bytes,
               size_t size, struct error *why);

#endif
