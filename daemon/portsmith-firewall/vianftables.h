/* Plans by nf_tables itself (closedtable.h): the kernel alone, without any program. */
#ifndef PORTSMITH_VIA_NFTABLES_H
#define PORTSMITH_VIA_NFTABLES_H

#include "daemon/portsmith-firewall/way.h"

extern const struct way via_nftables;

/* Whether the kernel can do all that the table wants; nothing is changed. False with the reason. */
bool via_nftables_can(struct error *why);

/* Removes the table, if it is there. False with the reason. */
bool via_nftables_remove(struct error *why);

/* Whether there is a table, or a chain in one, where `chain` is not NULL. `family` is NFPROTO_INET,
 * or for what iptables-nft makes NFPROTO_IPV4 or NFPROTO_IPV6. */
bool via_nftables_finds(uint8_t family, const char *table, const char *chain);

/* Whether the table has what was confirmed once, whatever the files say. */
bool via_nftables_finds_confirmed(void);

#endif
