/* The table `inet portsmith` of nf_tables, in which grants are elements of sets. portsmith-prepare
 * makes it (privsep/prepare/table.h); the helper changes the elements alone.
 *
 * A grant is an element of the first pair of sets; of the second where it counts connections; and,
 * where its packets are sent on, of the third as well, which are maps. */
#ifndef PORTSMITH_NFTABLES_TABLE_H
#define PORTSMITH_NFTABLES_TABLE_H

#include "common/address.h"

#define TABLE_NAME "portsmith"

/* NFT_TABLE_F_OWNER (Linux 5.12) and _PERSIST (6.9), and NFT_MSG_DESTROYSETELEM (6.3). The headers
 * may be older than the kernel. The first is never used alone: the table would go with the process
 * that made it. */
enum { TABLE_OWNED = 2 | 4, TABLE_DESTROY_ELEMENT = 30 };

/* The key is address . protocol . port, each padded with zeros to a multiple of four bytes; a
 * map's value is address . port. */
enum table_set { TABLE_GRANTS, TABLE_COUNTED, TABLE_SENDING, TABLE_SETS };

extern const char *const table_sets[TABLE_SETS][FAMILIES];

#endif
