/* The ways by which a plan gets into the kernel: by iptables, or without it. */
#ifndef PORTSMITH_WAY_H
#define PORTSMITH_WAY_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/portsmith-firewall/ruleset.h"
#include "privsep/message.h"
#include "privsep/xtables/restore.h"
#include "privsep/xtables/xtables.h"

struct way;

/* What puts plans in force on this host. */
struct enforcer {
    const struct way *way;
    enum backend backend;    /* not BACKEND_AUTO */
    bool in_use[FAMILIES];
    struct xtables xtables;  /* with iptables */
    uint32_t accept_mark;    /* with nftables; 0: none */
    bool tells_sessions;     /* with nftables, once asked */
};

struct way {
    /* Finds out whether rules can tell segments of sessions, and notes it. False with the reason,
     * as probe_sessions. */
    bool (*find_sessions)(struct enforcer *e, struct error *why);
    /* As enforce_plan. */
    enum restore_result (*put)(const struct enforcer *e, const struct plan *plan,
                               const struct plan *before, struct error *why);
    /* As enforce_looks_intact. */
    bool (*looks_intact)(const struct enforcer *e, enum family family, const struct plan *plan);
};

#endif
