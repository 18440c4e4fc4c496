/* What iptables-save(8) prints, of iptables-nft and of iptables-legacy. */
#ifndef PORTSMITH_SAVE_H
#define PORTSMITH_SAVE_H

#include <stdbool.h>

#include "common/address.h"
#include "daemon/host/tool.h"
#include "daemon/host/walk.h"
#include "privsep/message.h"

/* Whether the program of that back end, BACKEND_NFT or BACKEND_LEGACY, is installed. */
bool save_is_there(enum backend backend, enum family family);

/* Runs it for one table, or with NULL for all. False where it is not there or does not run to its
 * end; and for iptables-legacy where it has no such table, or none at all, as asking would make
 * one. */
bool save_run(struct tool *tool, enum backend backend, enum family family, const char *table);

/* The same for all tables, as rules, which walk_free frees. */
bool save_read(struct walk_rules *rules, enum backend backend, enum family family);

#endif
