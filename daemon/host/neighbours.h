/* What else on this host would keep out what a grant opens. */
#ifndef PORTSMITH_NEIGHBOURS_H
#define PORTSMITH_NEIGHBOURS_H

#include "daemon/config/config.h"

/* What is wrong, and what to do about it. */
typedef void neighbours_report(void *data, const char *what, const char *advice);

/* One of these: a warning in the log. `unused` is not looked at. */
void neighbours_log(void *unused, const char *what, const char *advice);

enum { NEIGHBOURS_WAY_SIZE = 256 };

/* How to have a chain of nftables accept a service: a command, where there is one. Returns
 * `way`. The table's owner is the only one who can change it (NFTA_TABLE_OWNER, since Linux
 * 5.12). */
const char *neighbours_way_in(char way[static NEIGHBOURS_WAY_SIZE], const char *family,
                              const char *table, const char *chain, const struct service *service);

/* Whether nftables has that table. */
bool neighbours_have_table(const char *family, const char *table);

/* Calls `report`, handing on `data`, for each nftables base chain at the
 * input hook that drops by default and that the grants, made in the
 * configuration's iptables back end, cannot answer for, and for each family that
 * the configuration sends on but the kernel does not forward. Needs CAP_NET_ADMIN;
 * says nothing of chains where nftables cannot be asked. */
void neighbours_find(const struct config *config, neighbours_report *report, void *data);

/* The latter alone. */
void neighbours_find_forwarding(const struct config *config, neighbours_report *report,
                                void *data);

/* Calls `report` where the configuration shuts TCP, but a kernel set up as this one cannot
 * tell segments of a session from those that open one by a SYN cookie. What iptables can do
 * is the helper's to find out. */
void neighbours_find_strays(const struct config *config, neighbours_report *report, void *data);

#endif
