/* Whether this host's rules keep the kernel from tracking connections to a service: NOTRACK,
 * or CT --notrack, in iptables' raw table, and notrack in chains of nftables. The rules are
 * read, as walk.h and nftables.h describe, and only what is certain for a stranger counts. */
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
    struct walk_rules rules[TRACKING_TABLES]; /* iptables' rules: both back ends and families */
    json_t *ruleset; /* nftables' chains that come before tracking; NULL: it cannot be read */
};

enum tracked {
    TRACKED,
    UNTRACKED,    /* what comes in is not tracked, whatever goes out */
    HALF_TRACKED, /* what comes in is tracked, what goes out is not */
};

/* Reads the rules, which tracking_free gives back. Needs CAP_NET_ADMIN, and CAP_NET_RAW for
 * iptables-legacy. What cannot be read counts as empty. */
void tracking_read(struct tracking *t);
void tracking_free(struct tracking *t);

/* How connections to `service` that come in by `interface` are tracked. Unless that is TRACKED,
 * `by` describes the rule that keeps the kernel from it. */
enum tracked tracking_of(const struct tracking *t, const struct service *service,
                         const char *interface, enum family family,
                         char by[static TRACKING_RULE_SIZE]);

/* The services of a configuration whose connections are not tracked. */
struct untracked {
    struct service *services; /* ascending, each once; NULL without memory */
    size_t count;
    bool has_synproxy; /* SYNPROXY answers the SYNs that are not tracked */
};

/* Finds the services of Shut and of profiles that are not tracked on the interfaces that
 * strangers come by. Calls `report`, unless that is NULL, for each, handing on `data`. False with
 * the reason if a profile asks for what takes tracking: Connections, or a destination. In any
 * case tracking_free_untracked frees what is in *found. */
bool tracking_find(struct untracked *found, const struct config *config,
                   warning_taker *report, void *data, struct error *why);
void tracking_free_untracked(struct untracked *found);

/* Does as tracking_find does, for callers that need its answer and its reports alone. */
bool tracking_check(const struct config *config, warning_taker *report, void *data,
                    struct error *why);

/* Whether the service is one of those found. */
bool tracking_is_untracked(const struct untracked *found, const struct service *service);

/* Whether the same services were found, and SYNPROXY in both cases or in neither. */
bool tracking_equal(const struct untracked *a, const struct untracked *b);

#endif
