/* A packet's way through nftables chains of other programs, which iptables does not
 * print, as nft(8) and libnftables-json(5) tell of them. As with walk.h only what is
 * certain for a stranger counts. */
#ifndef PORTSMITH_NFTABLES_H
#define PORTSMITH_NFTABLES_H

#include <jansson.h>
#include <stdbool.h>

#include "error.h"
#include "walk.h"

/* The ruleset as nft prints it; json_decref gives it back. NULL with the reason, such as
 * that nft is not installed. */
json_t *nftables_read(struct error *why);

/* `family`, `table` and `chain` as nft calls them. */
typedef void nftables_found(void *data, const char *family, const char *table, const char *chain);

/* Calls `found`, handing on `data`, for each base chain at the input hook, but for those of
 * iptables-nft, that drops the packet, which is new and for this host: IPv6 if `ipv6`. */
void nftables_find_drops(const json_t *ruleset, bool ipv6, const struct packet *packet,
                         nftables_found *found, void *data);

#endif
