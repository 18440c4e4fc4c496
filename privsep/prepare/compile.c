#include "privsep/prepare/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "privsep/prepare/confine.h"
#include "privsep/prepare/repair.h"
#include "privsep/xtables/ipsetorder.h"

enum { ALIGNMENT = 8 };

static void align(struct compiling *w, uint64_t to)
{
    w->at = (w->at + to - 1) / to * to;
}

static void write_at(struct compiling *w, const void *bytes, size_t size, uint64_t at)
{
    errno = ENOSPC; /* what a short write means here */
    if (w->error == 0 && pwrite(w->fd, bytes, size, (off_t)at) != (ssize_t)size)
        w->error = errno;
}

static struct part end_part(struct compiling *w, uint64_t at)
{
    if (w->error == 0 && w->at > UINT32_MAX)
        w->error = EFBIG;
    return (struct part){(uint32_t)at, (uint32_t)(w->at - at)};
}

static struct part put(struct compiling *w, const void *bytes, size_t size)
{
    uint64_t at;

    align(w, ALIGNMENT);
    at = w->at;
    write_at(w, bytes, size, at);
    w->at += size;
    return end_part(w, at);
}

static struct part put_text(struct compiling *w, const char *text)
{
    return put(w, text, strlen(text) + 1);
}

static struct part put_profiles(struct compiling *w, const struct policy *policy)
{
    const size_t count = policy->setup.profile_count;
    struct plan_profile *all = calloc(count + 1, sizeof *all);
    struct part part = {0};

    if (!all) {
        w->error = ENOMEM;
        return part;
    }
    for (size_t i = 0; i < count; i++) {
        const struct policy_entry *entry = &policy->entries[i];

        memcpy(all[i].key_id, entry->key_id, KEY_ID_SIZE);
        all[i].profile = put(w, entry->profile, helper_profile_size(entry->profile));
    }
    part = put(w, all, count * sizeof *all);
    free(all);
    return part;
}

/* libseccomp writes a filter behind a descriptor's position. */
static struct part put_filter(struct compiling *w, enum backend backend)
{
    uint64_t at;

    align(w, ALIGNMENT);
    at = w->at;
    if (w->error == 0 && lseek(w->fd, (off_t)at, SEEK_SET) < 0)
        w->error = errno;
    if (w->error == 0)
        w->error = helper_export_filter(w->fd, backend);
    w->at = (uint64_t)lseek(w->fd, 0, SEEK_CUR);
    return end_part(w, at);
}

static void put_orders(struct compiling *w, struct plan_family *to, enum family family)
{
    const char *name = ipset_names[family];
    struct ipset_order all[PLAN_ORDERS];

    ipset_order_create(&all[ORDER_MAKE], name, family, w->plan.max_grants);
    ipset_order_create(&all[ORDER_MAKE_NEXT], IPSET_NEXT, family, w->plan.max_grants);
    ipset_order_swap(&all[ORDER_SWAP], IPSET_NEXT, name);
    ipset_order_destroy(&all[ORDER_DESTROY], name);
    ipset_order_destroy(&all[ORDER_DESTROY_NEXT], IPSET_NEXT);
    ipset_order_put(&all[ORDER_PUT], name, family);
    ipset_order_put(&all[ORDER_PUT_NEXT], IPSET_NEXT, family);
    ipset_order_take_out(&all[ORDER_TAKE_OUT], name, family);
    for (size_t i = 0; i < PLAN_ORDERS; i++)
        to->orders[i] = put(w, all[i].bytes, all[i].size);
}

static void put_family(struct compiling *w, struct plan_family *to, enum family family,
                       const struct xtables *xtables, const struct rules *rules)
{
    to->path = put_text(w, to->in_use ? xtables->paths[family] : "");
    for (size_t i = 0; i < RULES_TEXTS; i++)
        to->texts[i] = put_text(w, rules->texts[i]);
    put_orders(w, to, family);
}

static void put_firewall(struct compiling *w, const struct ingredients *from)
{
    struct plan *plan = &w->plan;

    for (enum family family = IPV4; family < FAMILIES; family++) {
        plan->families[family].in_use = from->xtables->in_use[family];
        if (from->xtables->backend != BACKEND_NFTABLES)
            put_family(w, &plan->families[family], family, from->xtables, &from->rules[family]);
    }
    if (from->xtables->backend == BACKEND_NFTABLES)
        plan->table = (struct plan_table){.messages = put(w, from->table->bytes, from->table->size),
                                          .over = put(w, from->over->bytes, from->over->size),
                                          .over_head = (uint32_t)from->over_head,
                                          .owned = from->form->is_owned,
                                          .destroys = from->form->destroys,
                                          .sends_on = from->policy->setup.sends_on};
}

/* Each mark stands at its profile's place. */
static void put_marks(struct compiling *w, const struct policy *policy, struct marks *marks)
{
    for (size_t i = 0; i < policy->setup.profile_count; i++)
        put(w, helper_marks_find(marks, policy->entries[i].key_id), sizeof(struct mark));
}

static bool end_plan(struct compiling *w, struct error *why)
{
    w->plan.size = end_part(w, 0).size;
    write_at(w, &w->plan, sizeof w->plan, 0);
    return w->error == 0 || error_set(why, "cannot make the plan: %s", strerror(w->error));
}

static void settle(struct plan *plan, const struct ingredients *from)
{
    const struct helper_setup *setup = &from->policy->setup;

    *plan = (struct plan){
        .backend = from->xtables->backend, .grant_store = setup->grant_store,
        .max_grants = setup->max_grants, .max_skew = setup->max_skew,
        .skew = helper_policy_skew(from->policy), .foreground = setup->foreground,
        .debug = setup->debug, .trace = setup->trace,
        .counts = helper_policy_counts(from->policy), .profile_count = setup->profile_count};
    memcpy(plan->magic, plan_magic, sizeof plan->magic);
    memcpy(plan->server_public, setup->server_public, KEY_SIZE);
    memcpy(plan->member, setup->member, MEMBER_SIZE);
}

const struct plan *plan_begin(struct compiling *w, int fd, const struct ingredients *from,
                              struct error *why)
{
    const struct plan *plan;

    *w = (struct compiling){.fd = fd, .at = sizeof w->plan};
    settle(&w->plan, from);
    w->plan.profiles = put_profiles(w, from->policy);
    w->plan.filter = put_filter(w, from->xtables->backend);
    put_firewall(w, from);
    if (!end_plan(w, why))
        return NULL;
    /* A shared map would keep the plan from being sealed. */
    plan = mmap(NULL, w->plan.size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (plan != MAP_FAILED)
        return plan;
    error_set(why, "cannot map the plan: %s", strerror(errno));
    return NULL;
}

bool plan_end(struct compiling *w, const struct policy *policy, struct marks *marks,
              struct error *why)
{
    _Static_assert(sizeof(struct mark) % ALIGNMENT == 0, "the marks are an array");
    align(w, (uint64_t)sysconf(_SC_PAGESIZE));
    w->plan.marks_at = end_part(w, w->at).at;
    put_marks(w, policy, marks);
    put_text(w, ""); /* without a profile nothing else stands there */
    if (!end_plan(w, why))
        return false;
    return fcntl(w->fd, F_ADD_SEALS, PLAN_SEALS) == 0 ||
           error_set(why, "cannot seal the plan: %s", strerror(errno));
}
