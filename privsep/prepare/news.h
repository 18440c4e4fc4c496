/* The kernel's news of connections as they are made, by its connection tracking
 * (ctnetlink: linux/netfilter/nfnetlink_conntrack.h): TCP as the handshake completes, UDP
 * as the service answers for the first time. Nothing is asked: to go through the table of
 * connections takes the kernel seconds where that is full, and whoever asks waits.
 *
 * Attempts make no news, so that a flood of SYNs costs neither time nor room; nor
 * does what is for other services. The kernel leaves both out by a filter of the socket's.
 *
 * The supervisor makes the socket, which outlives helper and witness: what is told while there is
 * no witness waits there for the next one. */
#ifndef PORTSMITH_PREPARE_NEWS_H
#define PORTSMITH_PREPARE_NEWS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/service.h"

/* Whether the kernel tells of connections at all (nf_conntrack_netlink), and tells of them as
 * they are made (net.netfilter.nf_conntrack_events). `conntrack` is as in flows.h. To be called
 * before the process is confined, as it reads /proc. False with the reason. */
bool news_try(int *conntrack, struct error *why);

/* Makes room at the socket `fd`, a netlink socket of netfilter, and has the kernel put there, of
 * the news, those of connections to these services alone. Where they are more than a filter of
 * the kernel's can name (hundreds), it is connections to any service. */
void news_open(int fd, const struct service *services, size_t count);

#endif
