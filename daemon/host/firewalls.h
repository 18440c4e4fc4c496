/* Other firewalls on this host, and settings of its kernel, that would keep out what a grant
 * opens, or let in what is shut. */
#ifndef PORTSMITH_FIREWALLS_H
#define PORTSMITH_FIREWALLS_H

#include "daemon/config/config.h"
#include "daemon/host/warning.h"

enum { FIREWALLS_WAY_SIZE = 256 };

/* A chain of nftables, by its names in nft; `hook` is "prerouting", "input" or "forward". */
struct firewalls_place {
    const char *family, *table, *chain, *hook;
};

/* Writes into `way`, and returns it, how to have an nftables chain accept a service, or what has
 * the bits of `mark`, unless that is 0: a command, or what to do where there is none. Asks the
 * kernel whether the table has an owner, as then only that program can change it
 * (NFTA_TABLE_OWNER, since Linux 5.12). */
const char *firewalls_way_in(char way[static FIREWALLS_WAY_SIZE],
                             const struct firewalls_place *place, const struct service *service,
                             uint32_t mark);

/* The same for firewalld, which matches no mark; and for Docker, which drops what it has not
 * published, but for the mark that it is told of. */
const char *firewalls_way_into_firewalld(char way[static FIREWALLS_WAY_SIZE],
                                         const struct service *service);
const char *firewalls_way_into_docker(char way[static FIREWALLS_WAY_SIZE], uint32_t mark);

/* Whether nftables has the table, and whether a program has it that alone can change it. `family` is
 * "ip", "ip6" or "inet". */
bool firewalls_have_table(const char *family, const char *table);
bool firewalls_own_table(const char *family, const char *table);

/* Calls `report`, handing on `data`, for each nftables base chain (16 at most) at the input hook
 * whose policy is to drop, unless grants made in the configuration's iptables back end open their
 * ports there, too; in place of that, with BACKEND_NFTABLES and where nft(8) is installed, for all
 * that drops_find finds; and for all that firewalls_find_forwarding finds. Needs CAP_NET_ADMIN.
 * Where nftables cannot be asked, no chain is reported. */
void firewalls_find(const struct config *config, warning_taker *report, void *data);

/* Calls `report` for each family that the configuration sends on but the kernel does not
 * forward. */
void firewalls_find_forwarding(const struct config *config, warning_taker *report, void *data);

/* Calls `report` where the configuration shuts TCP, but the kernel, by its version and
 * settings, cannot tell segments of a session from those that open one by a SYN cookie. Whether
 * iptables can do its part is for the helper to find out. */
void firewalls_find_strays(const struct config *config, warning_taker *report, void *data);

#endif
