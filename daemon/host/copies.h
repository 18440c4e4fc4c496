/* Copies of knocks, where one address stands for all members of a group (SharedAddress): rules of
 * the firewall have the kernel send each knock that arrives at such an address to the peers as
 * well. Here they are printed and compared with what is in force; nothing here changes the
 * firewall.
 *
 * What comes from the MAC address of a peer is such a copy. The rules drop it before anything else:
 * so it is not copied again, which would have it circle for ever; nor is it forwarded to the
 * address that it goes to, with an ICMP redirect to the sender, on a host that forwards; nor
 * answered. Portsmith has seen it by then. The rules match as little else as they can, and no more
 * than COPIES_A_SECOND packets are copied: garbage is not to be multiplied. */
#ifndef PORTSMITH_COPIES_H
#define PORTSMITH_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "daemon/config/config.h"
#include "daemon/host/neighbour.h"
#include "daemon/host/warning.h"

enum { COPIES_A_SECOND = 100 }; /* to one peer over one family; so many at once, too */

/* A peer, over one family. */
struct copies_peer {
    const char *name; /* the configuration's */
    struct neighbour at;
    bool is_silent; /* its MAC address is not known */
};

struct copies {
    const struct config *config;
    enum backend backend; /* never BACKEND_AUTO */
    struct copies_peer peers[FAMILIES * (MEMBERS_MAX - 1)];
    size_t peer_count;
};

/* Whether an address of the family stands for all members. */
bool copies_are_of(const struct config *config, enum family family);

/* Finds each peer over each family that a shared address has: names are looked up, and addresses of
 * this host's own are left out. Calls `report`, handing on `data`, for each that cannot be found,
 * or does not answer. `config` must be whole, stay valid, and have shared addresses; CAP_NET_ADMIN
 * is needed. False if a peer is missing in *copies; one that does not answer is there, and
 * silent. */
bool copies_find(struct copies *copies, const struct config *config, enum backend backend,
                 warning_taker *report, void *data);

/* Prints a script for sh(1) that puts the rules in force, also in place of others that it has put
 * there before. No peer may be silent. */
void copies_print(const struct copies *copies, FILE *out);

/* Calls `report`, handing on `data`, for each family whose rules are not in force, or are others
 * than copies_print prints, but for the MAC addresses of silent peers; and for each peer whose
 * copies come by an interface that is not watched. CAP_NET_ADMIN is needed. */
void copies_check(const struct copies *copies, warning_taker *report, void *data);

#endif
