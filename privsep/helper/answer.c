#include "privsep/helper/answer.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/helper/flows.h"

bool helper_order_is_canonical(const struct helper_order *order)
{
    bool names_profile = !sodium_is_zero(order->key_id, KEY_ID_SIZE);

    if (order->kill > 1)
        return false;
    switch (order->command) {
    case HELPER_STOP:
        return !order->scope && !order->id && !order->kill && !names_profile;
    case HELPER_LIST:
        return order->serial && !order->scope && !order->kill && !names_profile;
    case HELPER_CLOSE:
        return order->serial && order->scope >= HELPER_SCOPE_ID &&
               order->scope <= HELPER_SCOPE_ALL &&
               (order->scope == HELPER_SCOPE_ID) == (order->id != 0) &&
               (order->scope == HELPER_SCOPE_PROFILE || !names_profile);
    default:
        return false;
    }
}

/* ---- tell --------------------------------------------------------------- */

static void begin_answer(const struct dispatch *d, uint32_t serial, struct helper_answer *answer)
{
    const struct xtables *xtables = &d->firewall->xtables;

    memset(answer, 0, sizeof *answer);
    answer->event = HELPER_ANSWER;
    answer->serial = serial;
    answer->backend = xtables->backend;
    answer->families = (xtables->in_use[IPV4] ? 1u : 0u) | (xtables->in_use[IPV6] ? 2u : 0u);
    answer->grant_store = d->firewall->uses_set ? GRANT_STORE_SET : GRANT_STORE_RULES;
    answer->live = (uint32_t)d->grants->count;
    memcpy(answer->verdicts, d->verdicts, sizeof answer->verdicts);
}

void helper_answer_unasked(const struct dispatch *d, struct helper_answer *answer)
{
    begin_answer(d, 0, answer);
}

static void describe(struct helper_grant *to, const struct grant *from, int64_t now)
{
    int64_t left = (from->deadline - now + NSEC_PER_SEC - 1) / NSEC_PER_SEC;

    memcpy(to->key_id, from->key_id, KEY_ID_SIZE);
    to->address = from->address;
    to->service.protocol = from->service.protocol;
    to->service.port = from->service.port;
    to->id = from->id;
    to->seconds_left = left > 0 ? (uint32_t)left : 0;
    to->watched = from->watched;
    to->used = from->used;
    to->elsewhere = from->signed_address == GRANT_SIGNED_ELSEWHERE;
}

/* Keeps the page's lowest ids, in order. */
static void put_on_page(struct helper_answer *answer, const struct grant *grant, int64_t now)
{
    struct helper_grant *page = answer->grants;
    uint32_t at = answer->count;

    while (at > 0 && page[at - 1].id > grant->id)
        at--;
    if (answer->count == HELPER_PAGE)
        answer->more = 1;
    else
        answer->count++;
    if (at == HELPER_PAGE)
        return;
    memmove(page + at + 1, page + at, (answer->count - 1 - at) * sizeof *page);
    memset(&page[at], 0, sizeof page[at]);
    describe(&page[at], grant, now);
}

static void list(const struct grants *grants, uint32_t above, struct helper_answer *answer)
{
    int64_t now = clock_boot_ns();

    for (size_t i = 0; i < grants->count; i++)
        if (grants->items[i].id > above)
            put_on_page(answer, &grants->items[i], now);
}

/* ---- close -------------------------------------------------------------- */

static bool is_meant(const struct helper_order *order, const struct grant *grant)
{
    switch (order->scope) {
    case HELPER_SCOPE_ID:
        return grant->id == order->id;
    case HELPER_SCOPE_PROFILE:
        return memcmp(grant->key_id, order->key_id, KEY_ID_SIZE) == 0;
    default:
        return true;
    }
}

/* Takes them out of the table, into `ended`; how many there were. */
static uint32_t take_away(struct grants *grants, const struct helper_order *order,
                          struct grant *ended, bool changed[FAMILIES])
{
    uint32_t count = 0;

    for (size_t i = grants->count; i > 0; i--) {
        const struct grant *grant = &grants->items[i - 1];

        if (!is_meant(order, grant))
            continue;
        ended[count++] = *grant;
        changed[address_family(&grant->address)] = true;
        helper_grants_remove_at(grants, i - 1);
    }
    return count;
}

/* The same of those that this helper dropped when it began. */
static uint32_t take_dropped(struct dispatch *d, const struct helper_order *order,
                             struct grant *ended)
{
    uint32_t count = 0;
    size_t kept = 0;

    for (size_t i = 0; i < d->dropped_count; i++)
        if (is_meant(order, &d->dropped[i]))
            ended[count++] = d->dropped[i];
        else
            d->dropped[kept++] = d->dropped[i];
    d->dropped_count = kept;
    return count;
}

static bool rewrite(struct dispatch *d, const bool changed[FAMILIES])
{
    bool done = true;
    struct error why;

    for (enum family family = IPV4; family < FAMILIES; family++)
        if (changed[family] && d->firewall->xtables.in_use[family] &&
            !helper_firewall_rewrite(d->firewall, family, d->grants, &why)) {
            log_warnx("the firewall could not be changed: %s", why.text);
            done = false;
        }
    return done;
}

/* After the door is shut: nothing new comes in meanwhile. */
static bool end_connections(struct dispatch *d, const struct grant *ended, size_t count,
                            uint32_t *sum)
{
    bool done = true;
    struct error why;

    for (size_t i = 0; i < count; i++) {
        unsigned connections = 0;

        if (!helper_flows_end(d->flows, &ended[i].address, &ended[i].service, &connections,
                              &why)) {
            log_warnx("connections may be left: %s", why.text);
            done = false;
        }
        *sum += connections;
    }
    return done;
}

static void close_grants(struct dispatch *d, const struct helper_order *order,
                         struct helper_answer *answer, struct grant *ended)
{
    bool changed[FAMILIES] = {false}, done;

    answer->closed = take_away(d->grants, order, ended, changed);
    answer->live = (uint32_t)d->grants->count;
    if (order->kill)
        answer->closed += take_dropped(d, order, ended + answer->closed);
    if (answer->closed == 0)
        return;
    done = rewrite(d, changed);
    helper_grants_store(d->grants);
    if (order->kill)
        done = end_connections(d, ended, answer->closed, &answer->ended) && done;
    answer->failed = !done;
}

void helper_answer(struct dispatch *d, const struct helper_order *order,
                   struct helper_answer *answer, struct grant **ended)
{
    *ended = NULL;
    begin_answer(d, order->serial, answer);
    if (order->command == HELPER_LIST) {
        list(d->grants, order->id, answer);
        return;
    }
    *ended = calloc(d->grants->count + d->dropped_count + 1, sizeof **ended);
    if (*ended)
        close_grants(d, order, answer, *ended);
    else
        answer->failed = 1;
}
