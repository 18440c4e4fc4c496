/* The kernel's news of connections as they are made, by its connection tracking
 * (ctnetlink: linux/netfilter/nfnetlink_conntrack.h): TCP as the handshake completes, UDP
 * as the service answers for the first time. Nothing is asked: to go through the table of
 * connections takes the kernel seconds where that is full, and whoever asks waits.
 *
 * Attempts make no news, so that a flood of SYNs costs neither time nor room here; nor
 * does what is for other services. The kernel leaves both out by a filter of the socket's.
 *
 * The supervisor makes the socket and leaves it open in each helper in turn: what is told
 * while there is none waits there for the next one. */
#ifndef PORTSMITH_NEWS_H
#define PORTSMITH_NEWS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/service.h"
#include "privsep/flows.h"

struct news {
    int fd;         /* a netlink socket of netfilter, inherited */
    bool listening; /* the socket is in the kernel's group, perhaps since the last helper */
    bool was_lost;  /* news were lost, and the log was not told of that yet (events.h) */
};

/* Whether the kernel tells of connections at all (nf_conntrack_netlink), and tells of them as
 * they are made (net.netfilter.nf_conntrack_events). `conntrack` is as in flows.h. To be called
 * before the process is confined, as it reads /proc. False with the reason. */
bool helper_news_try(int *conntrack, struct error *why);

/* Takes the socket `fd` over. From here on it hears of connections to these services alone.
 * Where they are more than a filter of the kernel's can name (hundreds), it hears of connections
 * to any service. */
void helper_news_open(struct news *news, int fd, const struct service *services, size_t count);

/* Makes the kernel tell of connections from here on. False where the kernel cannot. */
bool helper_news_listen(struct news *news);

/* Calls `handle` for each connection that the kernel has told of, a thousand at most: the others
 * wait for the next call. False when news were lost, as too many waited: then helper_news_leave
 * has been called. */
bool helper_news_hear(struct news *news, flow_handler *handle, void *into);

/* Makes the kernel tell nothing more, and discards what waits. */
void helper_news_leave(struct news *news);

#endif
