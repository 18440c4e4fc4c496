/* A firewall as portsmith-prepare and the helper have it, of a plan that holds only rules. */
#ifndef PORTSMITH_PLANNED_H
#define PORTSMITH_PLANNED_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "privsep/helper/iptables.h"
#include "privsep/prepare/compile.h"
#include "privsep/prepare/rules.h"

struct planned {
    struct rules rules[FAMILIES];
    const struct plan *plan; /* NULL: none yet */
};

/* Makes the rules and the plan anew. The old plan stays mapped, for who still uses its paths. */
static inline void planned_make(struct planned *planned, const struct helper_setup *setup,
                                const struct helper_destination *destinations, size_t count,
                                const struct xtables *found)
{
    struct policy policy = {.setup = *setup};
    const struct ingredients ingredients = {
        .policy = &policy, .xtables = found, .rules = planned->rules};
    int fd = memfd_create("plan", MFD_CLOEXEC);
    struct compiling compiling;
    struct error why;

    /* What a restore program inherits: no pipe of ours may have that number. */
    if (fcntl(HELPER_FD_LOCK, F_GETFD) < 0)
        dup3(STDERR_FILENO, HELPER_FD_LOCK, O_CLOEXEC);
    policy.setup.profile_count = 0;
    for (enum family family = IPV4; family < FAMILIES; family++) {
        rules_free(&planned->rules[family]);
        rules_make(&planned->rules[family], family, setup, destinations, count,
                   found->tells_sessions[family]);
    }
    planned->plan = plan_begin(&compiling, fd, &ingredients, &why);
    if (!planned->plan) {
        fprintf(stderr, "%s\n", why.text);
        abort();
    }
    close(fd);
}

static inline void planned_free(struct planned *planned)
{
    if (planned->plan)
        munmap((void *)(uintptr_t)planned->plan, planned->plan->size);
    for (enum family family = IPV4; family < FAMILIES; family++)
        rules_free(&planned->rules[family]);
    planned->plan = NULL;
}

#endif
