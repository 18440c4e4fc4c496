/* Compiles the plan (privsep/plan.h). */
#ifndef PORTSMITH_COMPILE_H
#define PORTSMITH_COMPILE_H

#include <stdbool.h>

#include "common/address.h"
#include "common/error.h"
#include "privsep/helper/marks.h"
#include "privsep/netwriter.h"
#include "privsep/prepare/receive.h"
#include "privsep/prepare/table.h"
#include "privsep/rules.h"
#include "privsep/xtables/probe.h"

/* What goes into a plan. Each profile of the policy has one of the marks. */
struct ingredients {
    const struct policy *policy;
    struct marks *marks;
    const struct xtables *xtables;
    const struct rules *rules;      /* by family; not with BACKEND_NFTABLES, but then these: */
    const struct table_form *form;
    const struct netwriter *table;  /* what table_write wrote, and nothing else */
};

/* Writes the plan into the empty memfd `fd`, and seals it. False with the reason. */
bool plan_compile(int fd, const struct ingredients *from, struct error *why);

#endif
