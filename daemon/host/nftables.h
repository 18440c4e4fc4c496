/* A packet's way through nftables chains of other programs, which iptables does not print: as
 * nft(8) prints them in JSON (libnftables-json(5)). As with walk.h only what is certain for a
 * stranger counts. `of` says of which family the packet is. */
#ifndef PORTSMITH_NFTABLES_H
#define PORTSMITH_NFTABLES_H

#include <jansson.h>
#include <stdbool.h>

#include "common/address.h"
#include "common/error.h"
#include "daemon/host/tool.h"
#include "daemon/host/walk.h"

/* Runs nft(8), as tool_run does. */
bool nftables_run(struct tool *tool, const char *const *arguments, struct error *why);

/* The whole ruleset, which json_decref gives back. NULL with the reason, such as that nft is not
 * installed. */
json_t *nftables_read(struct error *why);

/* Of the ruleset only the tables with chains that come before connection tracking, where notrack
 * has an effect, and without the content of sets. json_decref gives it back. NULL without memory;
 * empty where nft cannot be asked. */
json_t *nftables_read_early(void);

/* Whether a chain that comes before connection tracking keeps the kernel for certain from
 * tracking packets like this one. `by`, of `size` bytes, names the chain then. The ruleset may
 * be NULL. */
bool nftables_is_untracked(const json_t *ruleset, enum family of, const struct packet *packet,
                           char *by, size_t size);

/* Whether any rule of the ruleset, which may be NULL, has a statement of that name. */
bool nftables_has_statement(const json_t *ruleset, const char *name);

/* Takes a chain, by its names in nft. */
typedef void nftables_found(void *data, const char *family, const char *table, const char *chain);

/* The base chains to look at. */
struct nftables_chains {
    const char *hook; /* "prerouting", "input" or "forward" */
    bool of_iptables; /* those that iptables-nft makes, too: else they are left out */
};

/* Calls `found`, handing on `data`, for each of the base chains that drops the packet, which begins
 * a connection. The table of BACKEND_NFTABLES is left out. */
void nftables_find_drops(const json_t *ruleset, const struct nftables_chains *chains,
                         enum family of, const struct packet *packet, nftables_found *found,
                         void *data);

#endif
