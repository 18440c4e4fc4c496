/* Compiles the plan (privsep/plan.h). */
#ifndef PORTSMITH_COMPILE_H
#define PORTSMITH_COMPILE_H

#include <stdbool.h>

#include "common/address.h"
#include "common/error.h"
#include "privsep/helper/marks.h"
#include "privsep/netwriter.h"
#include "privsep/plan.h"
#include "privsep/prepare/receive.h"
#include "privsep/prepare/rules.h"
#include "privsep/prepare/table.h"
#include "privsep/xtables/probe.h"

/* What goes into a plan. */
struct ingredients {
    const struct policy *policy;
    const struct xtables *xtables;
    const struct rules *rules;      /* by family; not with BACKEND_NFTABLES, but then these: */
    const struct table_form *form;
    const struct netwriter *table;  /* what table_write wrote, and nothing else */
    const struct netwriter *over;   /* what table_write_over did, if anything */
    size_t over_head;               /* what table_write returned */
};

/* A plan that is being written. */
struct compiling {
    struct plan plan;
    int fd;
    uint64_t at; /* bytes from the plan's beginning */
    int error;   /* an errno, or 0: the first failure is kept */
};

/* Writes all of a plan but its marks into the empty memfd `fd`, and maps it, to be read. It stays
 * mapped as long as the process lives. NULL with the reason. */
const struct plan *plan_begin(struct compiling *compiling, int fd, const struct ingredients *from,
                              struct error *why);

/* Adds the marks, of which each profile of the policy has one, and seals the plan. False with the
 * reason. */
bool plan_end(struct compiling *compiling, const struct policy *policy, struct marks *marks,
              struct error *why);

#endif
