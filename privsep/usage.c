#include "usage.h"

#include <netinet/in.h>

#include "clock.h"
#include "log.h"

enum {
    FIRST_LOOK_MS = 1000,    /* the next one after twice the time, and so on; */
    LAST_LOOK_MS = 60000,    /* what has ended is remembered for longer (flows.h) */
    CLOSE_LOOK_MS = 250,     /* where connections are counted */
    REST = 10,               /* times as long as a look took there is none: the kernel goes
                                through all that the host has, milliseconds or more */
};

static bool is_known(const struct grant *grant, uint32_t id)
{
    for (size_t i = 0; i < grant->flow_count; i++)
        if (grant->flows[i] == id)
            return true;
    return false;
}

/* Should there be more than can be kept apart, the others count each time: a limit is
 * then reached early, not late. */
static void remember(struct grant *grant, uint32_t id)
{
    if (grant->flow_count < GRANT_FLOWS)
        grant->flows[grant->flow_count++] = id;
}

static void note_older(void *into, const struct flow *flow)
{
    remember(into, flow->id);
}

static void count_new(void *into, const struct flow *flow)
{
    struct grant *grant = into;

    if (is_known(grant, flow->id))
        return;
    remember(grant, flow->id);
    grant->used++;
}

static bool ask(struct flows *flows, struct grant *grant, flow_handler *handle)
{
    struct error why;

    return helper_flows_each(flows, &grant->address, &grant->service, handle, grant, &why);
}

static void ignore(void *into, const struct flow *flow)
{
    (void)into, (void)flow;
}

bool helper_usage_try(struct flows *flows, struct error *why)
{
    static const struct address nobody = {{0}};
    static const struct service nothing = {IPPROTO_TCP, 1};

    return helper_flows_each(flows, &nobody, &nothing, ignore, NULL, why);
}

static void plan(struct grant *grant, uint32_t milliseconds)
{
    grant->look_after = milliseconds;
    grant->look_at = clock_boot_ns() + milliseconds * (int64_t)NSEC_PER_MSEC;
}

void helper_usage_begin(struct flows *flows, struct grant *grant)
{
    grant->watched = ask(flows, grant, note_older);
    if (grant->watched || grant->connections)
        plan(grant, grant->connections ? CLOSE_LOOK_MS : FIRST_LOOK_MS);
}

bool helper_usage_is_full(const struct grant *grant)
{
    return grant->connections != 0 && grant->used >= grant->connections;
}

static void plan_next(struct grant *grant)
{
    uint32_t twice = 2 * grant->look_after;

    if (grant->connections)
        plan(grant, CLOSE_LOOK_MS);
    else if (grant->used)
        grant->look_at = 0;
    else
        plan(grant, twice < LAST_LOOK_MS ? twice : LAST_LOOK_MS);
}

void helper_usage_finish(struct flows *flows, struct grant *grant)
{
    if (!grant->watched || grant->used)
        return;
    grant->watched = ask(flows, grant, count_new);
}

/* So that each has its turn where there are more looks than time for them. */
static struct grant *longest_due(struct grants *grants, int64_t now)
{
    struct grant *found = NULL;

    for (size_t i = 0; i < grants->count; i++) {
        struct grant *grant = &grants->items[i];

        if (grant->look_at != 0 && grant->look_at <= now &&
            (!found || grant->look_at < found->look_at))
            found = grant;
    }
    return found;
}

static void look_and_rest(struct flows *flows, struct grants *grants, struct grant *grant)
{
    const int64_t start = clock_boot_ns();
    int64_t end;

    grant->watched = ask(flows, grant, count_new);
    end = clock_boot_ns();
    grants->no_look_before = end + REST * (end - start);
}

bool helper_usage_look(struct flows *flows, struct grants *grants, int64_t now)
{
    struct grant *grant = now < grants->no_look_before ? NULL : longest_due(grants, now);
    uint32_t before;

    if (!grant)
        return false;
    before = grant->used;
    look_and_rest(flows, grants, grant);
    grant->look_at = 0;
    if (!grant->watched && grant->connections) /* the next helper asks anew */
        fatalx("the kernel does not tell which connections there are: starting again");
    if (grant->watched)
        plan_next(grant);
    if (helper_usage_is_full(grant))
        helper_grants_shorten(grant, now);
    return grant->used != before;
}

int64_t helper_usage_next(const struct grants *grants)
{
    int64_t next = 0;

    for (size_t i = 0; i < grants->count; i++) {
        int64_t at = grants->items[i].look_at;

        if (at != 0 && (next == 0 || at < next))
            next = at;
    }
    return next != 0 && next < grants->no_look_before ? grants->no_look_before : next;
}

const char *helper_usage_text(const struct grant *grant)
{
    return grant->used      ? "it was used"
           : grant->watched ? "no connection came"
                            : "whether a connection came is not known here";
}
