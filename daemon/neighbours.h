/* What else on this host would keep out what a grant opens. */
#ifndef PORTSMITH_NEIGHBOURS_H
#define PORTSMITH_NEIGHBOURS_H

#include "config.h"

/* What is wrong, and what to do about it. */
typedef void neighbours_report(void *data, const char *what, const char *advice);

/* Calls `report`, handing on `data`, for each nftables base chain at the
 * input hook that drops by default and that the grants, made in the
 * configuration's iptables back end, cannot answer for, and for each family that
 * the configuration sends on but the kernel does not forward. Needs CAP_NET_ADMIN;
 * says nothing of chains where nftables cannot be asked. */
void neighbours_find(const struct config *config, neighbours_report *report, void *data);

/* The latter alone. */
void neighbours_find_forwarding(const struct config *config, neighbours_report *report,
                                void *data);

#endif
