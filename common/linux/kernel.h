/* How this host's kernel is set up, as proc(5) shows it. */
#ifndef PORTSMITH_KERNEL_H
#define PORTSMITH_KERNEL_H

#include <stdbool.h>

#include "common/error.h"

/* Whether the switch at `path`, such as /proc/sys/net/ipv4/ip_forward, is 0. A switch that
 * cannot be read does not count as 0. */
bool kernel_switch_is_off(const char *path);

/* Whether the kernel looks for the socket of a TCP segment before the hook LOCAL_IN, so that
 * rules in INPUT can tell the segments of a session from others. False with the reason, in
 * words that go on from "a segment of a session cannot be told: ". In ip_rcv_finish_core and
 * ip6_rcv_finish_core of Linux, both families heed both switches. A kernel without the switches
 * always looks. */
bool kernel_finds_sockets(struct error *why);

#endif
