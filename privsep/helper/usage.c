#include "privsep/helper/usage.h"

#include "common/clock.h"

/* Whether the grant waits for a connection: it is counted, and one more would tell something
 * new. */
static bool is_waiting(const struct grant *grant)
{
    return grant->is_counted && (grant->connections != 0 || grant->used == 0);
}

enum grant_end helper_usage_end(const struct grant *grant)
{
    if (grant->connections == 0)
        return END_NONE;
    if (grant->used >= grant->connections)
        return END_USED_UP;
    return grant->is_counted ? END_NONE : END_UNCOUNTED;
}

/* Seals a grant of the table of whose use something new is known, and shortens it if it is to end
 * now. */
static void note_use(struct grants *grants, struct grant *grant)
{
    grant_seal(grant);
    if (helper_usage_end(grant) != END_NONE)
        helper_grants_shorten(grants, grant, clock_boot_ns());
}

/* ---- hearing ------------------------------------------------------------ */

struct audience {
    struct grants *grants;
    struct grant *ended; /* grants that have left the table, or NULL */
    size_t ended_count;
    bool changed; /* something new is known of the table's grants */
};

/* Counts a connection for a grant that waits for one. False if that was no news: of a UDP
 * connection the kernel may tell twice. */
static bool count_connection(struct grant *grant, uint32_t id)
{
    if (!is_waiting(grant) || grant->used == GRANT_FLOWS)
        return false;
    for (uint32_t i = 0; i < grant->used; i++)
        if (grant->flows[i] == id)
            return false;
    grant->flows[grant->used++] = id;
    return true;
}

/* Counts a connection for each grant that lets it in. */
static void count_flow(void *into, const struct flow *flow)
{
    const struct door door = {flow->from, flow->to};
    struct audience *to = into;
    const struct grant *found = NULL;

    while ((found = helper_grants_next_of_door(to->grants, &door, found))) {
        struct grant *grant = &to->grants->items[found - to->grants->items];

        if (!count_connection(grant, flow->id))
            continue;
        note_use(to->grants, grant);
        to->changed = true;
    }
    for (size_t i = 0; i < to->ended_count; i++)
        if (address_equal(&to->ended[i].address, &flow->from) &&
            service_compare(&to->ended[i].service, &flow->to) == 0)
            count_connection(&to->ended[i], flow->id);
}

/* Notes that connections may have come that the kernel did not tell of: no grant that waits is
 * counted any more. */
static void give_up_counting(struct audience *of)
{
    struct grants *grants = of->grants;

    for (size_t i = 0; i < grants->count; i++)
        if (is_waiting(&grants->items[i])) {
            grants->items[i].is_counted = 0;
            note_use(grants, &grants->items[i]);
            of->changed = true;
        }
    for (size_t i = 0; i < of->ended_count; i++)
        of->ended[i].is_counted = 0;
}

static void hear(struct news *news, struct audience *audience)
{
    if (!helper_news_hear(news, count_flow, audience))
        give_up_counting(audience);
}

bool helper_usage_hear(struct news *news, struct grants *grants)
{
    struct audience audience = {.grants = grants};

    hear(news, &audience);
    return audience.changed;
}

void helper_usage_finish(struct news *news, struct grants *grants, struct grant *ended,
                         size_t ended_count)
{
    struct audience audience = {grants, ended, ended_count, false};

    if (ended_count > 0)
        hear(news, &audience);
}

/* ---- beginning and ending ----------------------------------------------- */

void helper_usage_begin(struct news *news, struct grants *grants, struct grant *grant,
                        bool is_tracked)
{
    grant->is_counted = 0;
    helper_usage_hear(news, grants);
    grant->used = 0;
    grant->is_counted = is_tracked && helper_news_listen(news);
    note_use(grants, grant);
}

void helper_usage_take_over(const struct news *news, struct grants *grants)
{
    for (size_t i = 0; i < grants->count; i++) {
        struct grant *grant = &grants->items[i];

        if (!news->listening && is_waiting(grant))
            grant->is_counted = 0;
        note_use(grants, grant);
    }
}

void helper_usage_rest(struct news *news, const struct grants *grants)
{
    if (!news->listening)
        return;
    for (size_t i = grants->count; i > 0; i--) /* the newest are last */
        if (is_waiting(&grants->items[i - 1]))
            return;
    helper_news_leave(news);
}
