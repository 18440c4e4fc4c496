#include "privsep/helper/usage.h"

#include "common/clock.h"

/* Whether it is to be known how it is used. */
static bool is_waiting(const struct grant *grant)
{
    return grant->watched && (grant->connections != 0 || grant->used == 0);
}

enum grant_end helper_usage_end(const struct grant *grant)
{
    if (grant->connections == 0)
        return END_NONE;
    if (grant->used >= grant->connections)
        return END_USED_UP;
    return grant->watched ? END_NONE : END_UNCOUNTED;
}

/* Of a grant in the table. */
static void conclude(struct grants *grants, struct grant *grant)
{
    grant_seal(grant);
    if (helper_usage_end(grant) != END_NONE)
        helper_grants_shorten(grants, grant, clock_boot_ns());
}

/* ---- hearing ------------------------------------------------------------ */

struct audience {
    struct grants *grants;
    struct grant *ended; /* that have left the table, or NULL */
    size_t ended_count;
    bool changed; /* what is known of those of the table */
};

/* True if it was not known yet. Where UDP is concerned a connection may be told of twice. */
static bool count(struct grant *grant, uint32_t id)
{
    if (!is_waiting(grant) || grant->used == GRANT_FLOWS)
        return false;
    for (uint32_t i = 0; i < grant->used; i++)
        if (grant->flows[i] == id)
            return false;
    grant->flows[grant->used++] = id;
    return true;
}

static void meet(void *into, const struct flow *flow)
{
    const struct door door = {flow->from, flow->to};
    struct audience *to = into;
    const struct grant *found = NULL;

    while ((found = helper_grants_next_of_door(to->grants, &door, found))) {
        struct grant *grant = &to->grants->items[found - to->grants->items];

        if (!count(grant, flow->id))
            continue;
        conclude(to->grants, grant);
        to->changed = true;
    }
    for (size_t i = 0; i < to->ended_count; i++)
        if (address_equal(&to->ended[i].address, &flow->from) &&
            service_compare(&to->ended[i].service, &flow->to) == 0)
            count(&to->ended[i], flow->id);
}

static void forget(struct audience *of)
{
    struct grants *grants = of->grants;

    for (size_t i = 0; i < grants->count; i++)
        if (is_waiting(&grants->items[i])) {
            grants->items[i].watched = 0;
            conclude(grants, &grants->items[i]);
            of->changed = true;
        }
    for (size_t i = 0; i < of->ended_count; i++)
        of->ended[i].watched = 0;
}

static void hear(struct news *news, struct audience *audience)
{
    if (!helper_news_hear(news, meet, audience))
        forget(audience);
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
    grant->watched = 0;
    helper_usage_hear(news, grants);
    grant->used = 0;
    grant->watched = is_tracked && helper_news_listen(news);
    conclude(grants, grant);
}

void helper_usage_take_over(const struct news *news, struct grants *grants)
{
    for (size_t i = 0; i < grants->count; i++) {
        struct grant *grant = &grants->items[i];

        if (!news->listening && is_waiting(grant))
            grant->watched = 0;
        conclude(grants, grant);
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
