#include "usage.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

enum {
    FIRST_LOOK_MS = 250,  /* where connections are counted, always; else the next one after
                             twice the time, and so on; */
    LAST_LOOK_MS = 60000, /* what has ended is remembered for longer (flows.h) */
    NO_MEMORY_MS = 1000,  /* until it is tried again */
    FEW = 8,              /* services that are asked for one by one: cheaper by far than to
                             be told of all connections of a host */
    REST = 10,            /* times as long as a look took there is none: the kernel goes
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

/* ---- the grants of one look --------------------------------------------- */

/* Sorted by what they open, for whom: so does a connection find its grants among
 * thousands. */
struct view {
    struct grants *table;
    struct grant **grants; /* allocated; some of the table, some that have left it */
    size_t count;
    bool changed; /* what is known of those of the table */
};

static void note_change(struct view *view, const struct grant *grant)
{
    const struct grants *table = view->table;

    if (grant < table->items || grant >= table->items + table->count)
        return;
    helper_grants_note_change(view->table, grant);
    view->changed = true;
}

static void set_watched(struct view *view, struct grant *grant, enum grant_watch watched)
{
    if (grant->watched == watched)
        return;
    grant->watched = watched;
    note_change(view, grant);
}

static int compare_doors(const struct grant *grant, const struct address *address,
                         const struct service *service)
{
    int order = memcmp(grant->address.bytes, address->bytes, sizeof address->bytes);

    return order ? order : service_compare(&grant->service, service);
}

static int compare_grants(const void *a, const void *b)
{
    const struct grant *const *left = a, *const *right = b;

    return compare_doors(*left, &(*right)->address, &(*right)->service);
}

/* The first grant that a connection may have come in through, or where it would be. */
static size_t first_of(const struct view *view, const struct flow *flow)
{
    size_t low = 0, high = view->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_doors(view->grants[middle], &flow->from, &flow->to) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool opens_to(const struct view *view, size_t i, const struct flow *flow)
{
    return i < view->count && compare_doors(view->grants[i], &flow->from, &flow->to) == 0;
}

/* Of one that begins see `hear`; where something was missed, what is met may be older. */
static bool counts(const struct grant *grant)
{
    return grant->watched == WATCHED || grant->connections;
}

static void meet(void *into, const struct flow *flow)
{
    struct view *view = into;

    for (size_t i = first_of(view, flow); opens_to(view, i, flow); i++) {
        struct grant *grant = view->grants[i];

        if (is_known(grant, flow->id))
            continue;
        remember(grant, flow->id);
        grant->used += counts(grant);
        note_change(view, grant);
    }
}

/* One that was heard to begin is not older than the first door that is listened for; of two
 * that open within one listening the second counts it, too. If it is not known yet,
 * it was not made when it was looked for, and the next look meets it. */
static void hear(void *into, const struct flow *flow)
{
    const struct view *view = into;

    for (size_t i = first_of(view, flow); opens_to(view, i, flow); i++) {
        struct grant *grant = view->grants[i];

        grant->used += grant->watched == WATCH_BEGINS && is_known(grant, flow->id);
    }
}

/* The grants of a view that are asked about together: of one family, and those that admit
 * only so many connections, which end early or late by the answer, apart from others. */
struct part {
    bool ipv6, limited;
};

static bool is_in(const struct part *part, const struct grant *grant)
{
    return address_is_ipv4(&grant->address) != part->ipv6 &&
           (grant->connections != 0) == part->limited;
}

/* The one that they are all for, or NULL. */
static const struct address *common_address(const struct view *view, const struct part *part)
{
    const struct address *common = NULL;

    for (size_t i = 0; i < view->count; i++) {
        const struct address *address = &view->grants[i]->address;

        if (!is_in(part, view->grants[i]))
            continue;
        if (common && !address_equal(common, address))
            return NULL;
        common = address;
    }
    return common;
}

static bool is_listed(const struct service *list, size_t count, const struct service *service)
{
    for (size_t i = 0; i < count; i++)
        if (service_compare(&list[i], service) == 0)
            return true;
    return false;
}

/* What they open. How many there are; FEW + 1: more than fit. */
static size_t list_services(const struct view *view, const struct part *part,
                            struct service list[static FEW])
{
    size_t count = 0;

    for (size_t i = 0; i < view->count; i++) {
        const struct service *service = &view->grants[i]->service;

        if (!is_in(part, view->grants[i]) || is_listed(list, count, service))
            continue;
        if (count == FEW)
            return FEW + 1;
        list[count++] = *service;
    }
    return count;
}

static bool ask_about(struct flows *flows, struct view *view, const struct part *part,
                      struct error *why)
{
    const struct address *from = common_address(view, part);
    struct service list[FEW];
    size_t count = list_services(view, part, list);

    if (count > FEW)
        return helper_flows_each(flows, part->ipv6, from, NULL, meet, view, why);
    for (size_t i = 0; i < count; i++)
        if (!helper_flows_each(flows, part->ipv6, from, &list[i], meet, view, why))
            return false;
    return true;
}

/* A limit holds by what is told now; of the others, what was missed once stays so. */
static void note_told(struct view *view, const struct part *part, bool told)
{
    for (size_t i = 0; i < view->count; i++) {
        struct grant *grant = view->grants[i];

        if (is_in(part, grant) && (!told || part->limited))
            set_watched(view, grant, told ? WATCHED : UNWATCHED);
    }
}

static void ask(struct flows *flows, struct view *view)
{
    static const struct part parts[] = {
        {.ipv6 = false, .limited = true}, {.ipv6 = true, .limited = true},
        {.ipv6 = false, .limited = false}, {.ipv6 = true, .limited = false}};
    const bool could = flows->conntrack >= 0;
    struct error why;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        note_told(view, &parts[i], ask_about(flows, view, &parts[i], &why));
    if (could && flows->conntrack < 0)
        log_warnx("whether grants are used is not known from here on, until a reload: %s",
                  why.text);
}

/* First what there is, then what began: so nothing is between the two. */
static void look_at(struct flows *flows, struct view *view)
{
    bool heard;

    qsort(view->grants, view->count, sizeof *view->grants, compare_grants);
    ask(flows, view);
    heard = helper_flows_hear(flows, hear, view);
    for (size_t i = 0; i < view->count; i++)
        if (view->grants[i]->watched == WATCH_BEGINS)
            set_watched(view, view->grants[i], heard ? WATCHED : UNWATCHED);
}

/* ---- beginning ---------------------------------------------------------- */

static void ignore(void *into, const struct flow *flow)
{
    (void)into, (void)flow;
}

bool helper_usage_try(struct flows *flows, struct error *why)
{
    static const struct address nobody = {{0}};
    static const struct service nothing = {IPPROTO_TCP, 1};

    return helper_flows_each(flows, true, &nobody, &nothing, ignore, NULL, why);
}

static void plan(struct grants *grants, struct grant *grant, uint32_t milliseconds)
{
    grant->look_after = milliseconds;
    grant->look_at = clock_boot_ns() + milliseconds * (int64_t)NSEC_PER_MSEC;
    if (grant->look_at < grants->next_look)
        grants->next_look = grant->look_at;
}

static void note_older(void *into, const struct flow *flow)
{
    remember(into, flow->id);
}

static bool ask_for_older(struct flows *flows, struct grant *grant)
{
    struct error why;

    return helper_flows_each(flows, !address_is_ipv4(&grant->address), &grant->address,
                             &grant->service, note_older, grant, &why);
}

void helper_usage_begin(struct flows *flows, struct grants *grants, struct grant *grant)
{
    if (grant->connections == 0 && helper_flows_listen(flows))
        grant->watched = WATCH_BEGINS;
    else
        grant->watched = ask_for_older(flows, grant) ? WATCHED : UNWATCHED;
    if (grant->watched || grant->connections)
        plan(grants, grant, FIRST_LOOK_MS);
    helper_grants_note_change(grants, grant);
}

static bool any_begins(const struct grants *grants)
{
    for (size_t i = grants->count; i > 0; i--) /* the newest are last */
        if (grants->items[i - 1].watched == WATCH_BEGINS)
            return true;
    return false;
}

void helper_usage_take_back(struct flows *flows, const struct grants *grants)
{
    if (flows->listening && !any_begins(grants))
        helper_flows_hear(flows, ignore, NULL);
}

/* ---- looking ------------------------------------------------------------ */

bool helper_usage_is_full(const struct grant *grant)
{
    return grant->connections != 0 && grant->used >= grant->connections;
}

static void plan_next(struct grants *grants, struct grant *grant)
{
    uint32_t twice = 2 * grant->look_after;

    if (grant->connections)
        plan(grants, grant, FIRST_LOOK_MS);
    else if (grant->used || !grant->watched)
        grant->look_at = 0;
    else
        plan(grants, grant, twice < LAST_LOOK_MS ? twice : LAST_LOOK_MS);
}

static bool is_due(const struct grant *grant, int64_t now)
{
    return grant->look_at != 0 && grant->look_at <= now;
}

/* Those that are due by `now`, and those that just begin, as what began is told once.
 * There is room for `more`. Without memory there are none. */
static struct view view_of(struct grants *grants, int64_t now, size_t more)
{
    struct view view = {.table = grants,
                        .grants = calloc(grants->count + more + 1, sizeof *view.grants)};

    for (size_t i = 0; view.grants && i < grants->count; i++) {
        struct grant *grant = &grants->items[i];

        if (is_due(grant, now) || grant->watched == WATCH_BEGINS)
            view.grants[view.count++] = grant;
    }
    return view;
}

static void look_and_rest(struct flows *flows, struct grants *grants, struct view *view)
{
    const int64_t start = clock_boot_ns();
    int64_t end;

    look_at(flows, view);
    end = clock_boot_ns();
    grants->no_look_before = end + REST * (end - start);
}

static void conclude(struct grants *grants, struct grant *grant, int64_t now)
{
    if (!grant->watched && grant->connections) /* the next helper asks anew */
        fatalx("the kernel does not tell which connections there are: starting again");
    plan_next(grants, grant);
    if (helper_usage_is_full(grant))
        helper_grants_shorten(grants, grant, now);
}

static int64_t earliest_look(const struct grants *grants)
{
    int64_t earliest = INT64_MAX;

    for (size_t i = 0; i < grants->count; i++)
        if (grants->items[i].look_at != 0 && grants->items[i].look_at < earliest)
            earliest = grants->items[i].look_at;
    return earliest;
}

bool helper_usage_look(struct flows *flows, struct grants *grants, int64_t now)
{
    struct view view;

    if (now < grants->no_look_before || now < grants->next_look)
        return false;
    view = view_of(grants, now, 0);
    if (!view.grants) {
        grants->no_look_before = now + NO_MEMORY_MS * (int64_t)NSEC_PER_MSEC;
        return false;
    }
    look_and_rest(flows, grants, &view);
    for (size_t i = 0; i < view.count; i++)
        conclude(grants, view.grants[i], now);
    grants->next_look = earliest_look(grants);
    free(view.grants);
    return view.changed;
}

bool helper_usage_hand_over(struct flows *flows, struct grants *grants)
{
    struct view view = view_of(grants, 0, 0);
    const bool any = view.count > 0;

    if (any)
        look_at(flows, &view);
    free(view.grants);
    return any;
}

static bool is_open_question(const struct grant *grant)
{
    return grant->watched && !grant->used;
}

void helper_usage_finish(struct flows *flows, struct grants *grants, struct grant *ended,
                         size_t count)
{
    struct view view = view_of(grants, 0, count);
    const size_t others = view.count;

    for (size_t i = 0; view.grants && i < count; i++)
        if (is_open_question(&ended[i]))
            view.grants[view.count++] = &ended[i];
    if (view.count > others)
        look_at(flows, &view);
    free(view.grants);
    if (view.changed)
        helper_grants_store(grants);
}

int64_t helper_usage_next(const struct grants *grants)
{
    if (grants->count == 0 || grants->next_look == INT64_MAX)
        return 0;
    return grants->next_look < grants->no_look_before ? grants->no_look_before : grants->next_look;
}

const char *helper_usage_text(const struct grant *grant)
{
    return grant->used      ? "it was used"
           : grant->watched ? "no connection came"
                            : "whether a connection came is not known here";
}
