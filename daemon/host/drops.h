/* The chains of other firewalls on this host that drop what a grant opens, where none of
 * Portsmith's rules accepts for them: with BACKEND_NFTABLES. */
#ifndef PORTSMITH_DROPS_H
#define PORTSMITH_DROPS_H

#include <stdbool.h>

#include "daemon/config/config.h"
#include "daemon/host/warning.h"

/* Whether the configuration's back end accepts nothing for other chains: it is BACKEND_NFTABLES, or
 * is to be chosen on a host without iptables. */
bool drops_matter(const struct config *config);

/* Calls `report`, handing on `data`, for each chain and service that it drops for certain, over
 * IPv4 or IPv6, by an interface that strangers come by: with what to do about it. Looks at the
 * services of Shut and of the profiles; at forwarding chains for what is sent on, and with Forward.
 * Needs CAP_NET_ADMIN. False where nft(8) cannot be asked: then iptables' chains alone were looked
 * at. */
bool drops_find(const struct config *config, warning_taker *report, void *data);

#endif
