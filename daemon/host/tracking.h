/* Whether this host's rules keep the kernel from tracking connections to a service: NOTRACK,
 * or CT --notrack, in iptables' raw table, and notrack in chains of nftables. The rules are
 * read as in walk.h and nftables.h, and only what is certain for a stranger counts. */
#ifndef PORTSMITH_TRACKING_H
#define PORTSMITH_TRACKING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "daemon/config/config.h"
#include "daemon/host/warning.h"
#include "daemon/host/walk.h"

enum { TRACKING_TABLES = 4, TRACKING_RULE_SIZE = 300 };

struct tracking {
    struct walk_rules rules[TRACKING_TABLES]; /* of both back ends and families */
    json_t *ruleset; /* of nftables, but for those; NULL: there is none of that kind */
};

enum tracked {
    TRACKED,
    UNTRACKED,    /* what comes in is not, whatever goes out */
    HALF_TRACKED, /* what comes in is, what goes out is not */
};

/* Reads the rules; needs CAP_NET_ADMIN, and CAP_NET_RAW for iptables-legacy. What cannot be
 * read counts as empty. Ends with tracking_free. */
void tracking_read(struct tracking *t);
void tracking_free(struct tracking *t);

/* How connections to `service`, which come in by `interface`, are tracked; in `by` which
 * rule it is that keeps the kernel from it, in words. */
enum tracked tracking_of(const struct tracking *t, const struct service *service,
                         const char *interface, bool ipv6, char by[static TRACKING_RULE_SIZE]);

/* What of a configuration is not tracked. */
struct untracked {
    struct service *services; /* of profiles: ascending, each once */
    size_t count;
    bool has_synproxy; /* SYNPROXY answers the SYNs that are not tracked */
};

/* Finds the services of Close and of profiles that are not tracked on the interfaces that
 * strangers come by, and calls `report`, handing on `data`, for each, unless it is NULL. False
 * with the reason in *why if a profile asks for what takes tracking: Connections, or a
 * destination. *found is filled all the same, and to be freed. */
bool tracking_find(struct untracked *found, const struct config *config,
                   warning_taker *report, void *data, struct error *why);
void tracking_free_untracked(struct untracked *found);

/* The same where it only matters whether a profile asks for that. */
bool tracking_check(const struct config *config, warning_taker *report, void *data,
                    struct error *why);

bool tracking_is_untracked(const struct untracked *found, const struct service *service);

/* Whether two are the same. */
bool tracking_equal(const struct untracked *a, const struct untracked *b);

#endif
