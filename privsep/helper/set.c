/* Keeps the sets of grants as the table of grants is. */
#include "privsep/helper/set.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"

static int run(struct sets *sets, enum family family, enum plan_order order)
{
    const struct part *part = &sets->plan->families[family].orders[order];

    return ipset_run(&sets->kernel, plan_part(sets->plan, part, 1, NULL), part->size);
}

static bool holds(const struct grant *grant)
{
    return grant->connections == 0 && grant->destination_port == 0;
}

static bool is_element_of(const struct grant *grant, enum family family)
{
    return holds(grant) && address_family(&grant->address) == family;
}

/* Returns the latest end of all grants of a door, of whichever profile; 0: the door has none. */
static int64_t latest_end(const struct grants *grants, const struct door *door)
{
    const struct grant *grant = NULL;
    int64_t latest = 0;

    while ((grant = helper_grants_next_at(grants, door, grant)))
        if (grant->deadline > latest && holds(grant))
            latest = grant->deadline;
    return latest;
}

/* Has an element end at `deadline` (CLOCK_BOOTTIME, nanoseconds), or up to a second before. Where
 * less than a second is left, an element would outlive its grant. So it is taken out, unless the
 * grant was opened or extended just now. */
static int put(struct sets *sets, enum plan_order order, const struct door *door, int64_t deadline,
               bool is_touched)
{
    const enum family family = address_family(&door->address);
    int64_t left = (deadline - clock_boot_ns()) / NSEC_PER_SEC;
    const struct part *part;

    left = left < is_touched ? is_touched : left > IPSET_TIMEOUT_MAX ? IPSET_TIMEOUT_MAX : left;
    if (left == 0 && order == ORDER_PUT_NEXT) /* nothing is to be taken out of there */
        return 0;
    part = &sets->plan->families[family].orders[left > 0 ? order : ORDER_TAKE_OUT];
    return ipset_put(&sets->kernel, plan_part(sets->plan, part, 1, NULL), part->size,
                     &door->address, &door->service, (uint32_t)left);
}

static int by_deadline(const void *a, const void *b)
{
    const struct grant *one = *(const struct grant *const *)a;
    const struct grant *other = *(const struct grant *const *)b;

    return (one->deadline > other->deadline) - (one->deadline < other->deadline);
}

/* Puts all grants in, in the order of their ends. Of several grants of a door the last one that is
 * put in counts. */
static int put_all(struct sets *sets, enum family family, const struct grants *grants)
{
    static const struct grant *sorted[MAX_GRANTS_MOST];
    size_t count = 0;
    int error = 0;

    for (size_t i = 0; i < grants->count; i++)
        if (is_element_of(&grants->items[i], family))
            sorted[count++] = &grants->items[i];
    qsort(sorted, count, sizeof *sorted, by_deadline);
    for (size_t i = 0; i < count && error == 0; i++) {
        const struct door door = helper_grants_door(sorted[i]);

        error = put(sets, ORDER_PUT_NEXT, &door, sorted[i]->deadline, sorted[i]->touched);
    }
    return error ? error : ipset_send(&sets->kernel);
}

static bool fill(struct sets *sets, enum family family, const struct grants *grants,
                 struct error *why)
{
    const char *name = ipset_names[family];
    int error;

    run(sets, family, ORDER_DESTROY_NEXT); /* a helper that was killed may have left it */
    error = run(sets, family, ORDER_MAKE);
    if (error != EEXIST && !ipset_is_done(error, name, why))
        return false;
    /* A set of that name that is still there is not used: it may hold doors that are closed by
     * now. */
    if (!ipset_is_done(run(sets, family, ORDER_MAKE_NEXT), IPSET_NEXT, why))
        return false;
    error = put_all(sets, family, grants);
    if (error == 0)
        error = run(sets, family, ORDER_SWAP);
    run(sets, family, ORDER_DESTROY_NEXT);
    return ipset_is_done(error, name, why);
}

static bool update(struct sets *sets, enum family family, const struct grants *grants,
                   struct error *why)
{
    const char *name = ipset_names[family];
    int error = 0;

    if (grants->changes[family] == GRANTS_FORGOTTEN)
        return fill(sets, family, grants, why);
    for (size_t i = 0; i < grants->gone_count && error == 0; i++) {
        const struct door door = helper_grants_door(&grants->gone[i]);

        if (address_family(&door.address) == family)
            error = put(sets, ORDER_PUT, &door, latest_end(grants, &door), false);
    }
    for (size_t i = 0; i < grants->count && error == 0; i++) {
        const struct grant *grant = &grants->items[i];
        const struct door door = helper_grants_door(grant);

        if (grant->touched && is_element_of(grant, family))
            error = put(sets, ORDER_PUT, &door, latest_end(grants, &door), true);
    }
    return ipset_is_done(error ? error : ipset_send(&sets->kernel), name, why);
}

static bool remove_sets(struct sets *sets, enum family family, struct error *why)
{
    int error = run(sets, family, ORDER_DESTROY);

    run(sets, family, ORDER_DESTROY_NEXT);
    return ipset_is_absent(error) || ipset_is_done(error, ipset_names[family], why);
}

static const struct store store = {.open = ipset_open, .close = ipset_close, .holds = holds,
                                  .fill = fill, .update = update, .remove = remove_sets};

const struct store *const helper_sets = &store;
