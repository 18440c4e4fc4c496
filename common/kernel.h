/* How this host's kernel is set up, by what proc(5) shows. */
#ifndef PORTSMITH_KERNEL_H
#define PORTSMITH_KERNEL_H

#include <stdbool.h>

#include "common/error.h"

/* Whether a switch such as /proc/sys/net/ipv4/ip_forward is 0. One that cannot be read is
 * not. */
bool kernel_is_off(const char *path);

/* Whether the socket that a TCP segment belongs to is looked for before the hook LOCAL_IN,
 * so that rules in INPUT can tell the segments of a session from others. Else the reason
 * is in *why, in words that go on from "a segment of a session cannot be told: ".
 * ip_rcv_finish_core and ip6_rcv_finish_core of Linux: both families heed both switches, and
 * a kernel without these always looks. */
bool kernel_finds_sockets(struct error *why);

#endif
