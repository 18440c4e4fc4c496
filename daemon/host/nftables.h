/* A packet's way through nftables chains of other programs, which iptables does not
 * print, as nft(8) and libnftables-json(5) tell of them. As with walk.h only what is
 * certain for a stranger counts. */
#ifndef PORTSMITH_NFTABLES_H
#define PORTSMITH_NFTABLES_H

#include <jansson.h>
#include <stdbool.h>

#include "common/error.h"
#include "daemon/host/walk.h"

/* The ruleset as nft prints it; json_decref gives it back. NULL with the reason, such as
 * that nft is not installed. */
json_t *nftables_read(struct error *why);

/* Of the same only the tables with chains that come before connection tracking, where notrack
 * has an effect; without the content of sets. NULL without memory. */
json_t *nftables_read_early(void);

/* Whether such a chain keeps the kernel for certain from tracking strangers' packets like
 * this one; `by` says which. A NULL ruleset does not. */
bool nftables_is_untracked(const json_t *ruleset, bool ipv6, const struct packet *packet,
                           char *by, size_t size);

/* Whether a rule has a statement of that name. */
bool nftables_has_statement(const json_t *ruleset, const char *name);

/* `family`, `table` and `chain` as nft calls them. */
typedef void nftables_found(void *data, const char *family, const char *table, const char *chain);

/* Calls `found`, handing on `data`, for each base chain at the input hook, but for those of
 * iptables-nft, that drops the packet, which is new and for this host: IPv6 if `ipv6`. */
void nftables_find_drops(const json_t *ruleset, bool ipv6, const struct packet *packet,
                         nftables_found *found, void *data);

#endif
