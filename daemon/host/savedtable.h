/* The files that load nftables at boot, and whether one of them holds Portsmith's own table, as who
 * has saved `nft list ruleset` has it. */
#ifndef PORTSMITH_SAVEDTABLE_H
#define PORTSMITH_SAVEDTABLE_H

#include "daemon/host/warning.h"

/* Calls `report`, handing on `data`, for each of these files that holds the table: with how to save
 * the others without it. Follows what they include. A file that cannot be read holds nothing. */
void savedtable_find(warning_taker *report, void *data);

#endif
