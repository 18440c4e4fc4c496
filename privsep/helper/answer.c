#include "privsep/helper/answer.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "privsep/cut/cut.h"

bool helper_order_is_canonical(const struct helper_order *order)
{
    bool names_profile = !sodium_is_zero(order->key_id, KEY_ID_SIZE);

    if (order->kill > 1)
        return false;
    switch (order->command) {
    case HELPER_STOP:
        return !order->scope && !order->id && !order->kill && !names_profile;
    case HELPER_TELL:
        return order->serial && !order->scope && !order->id && !order->kill && !names_profile;
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

static void begin_answer(const struct requests *r, uint32_t serial, struct helper_answer *answer)
{
    const struct xtables *xtables = &r->firewall->xtables;

    memset(answer, 0, sizeof *answer);
    answer->event = HELPER_ANSWER;
    answer->serial = serial;
    answer->backend = xtables->backend;
    answer->families = (xtables->in_use[IPV4] ? 1u : 0u) | (xtables->in_use[IPV6] ? 2u : 0u);
    answer->grant_store = r->firewall->uses_set ? GRANT_STORE_SET : GRANT_STORE_RULES;
    answer->live = (uint32_t)r->grants->count;
    memcpy(answer->verdicts, r->verdicts, sizeof answer->verdicts);
}

void helper_answer_unasked(const struct requests *r, struct helper_answer *answer)
{
    begin_answer(r, 0, answer);
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

/* Moves the grants that an order means from the table to `ended`. Their number is returned. */
static uint32_t remove_meant(struct grants *grants, const struct helper_order *order,
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

/* The same for the grants that this helper dropped when it began. */
static uint32_t remove_dropped(struct requests *r, const struct helper_order *order,
                             struct grant *ended)
{
    uint32_t count = 0;
    size_t kept = 0;

    for (size_t i = 0; i < r->dropped_count; i++)
        if (is_meant(order, &r->dropped[i]))
            ended[count++] = r->dropped[i];
        else
            r->dropped[kept++] = r->dropped[i];
    r->dropped_count = kept;
    return count;
}

/* To be called once the doors are shut, so that nothing new comes in meanwhile. */
static bool end_connections(struct requests *r, const struct grant *ended, size_t count,
                            uint32_t *sum)
{
    bool done = true;
    struct error why;

    for (size_t i = 0; i < count; i++) {
        const struct way way = {&ended[i].address, &ended[i].service};
        unsigned connections = 0;

        if (!cut_connections(r->cut, &way, &connections, &why)) {
            log_warnx("connections may be left: %s", why.text);
            done = false;
        }
        *sum += connections;
    }
    return done;
}

static void close_grants(struct requests *r, const struct helper_order *order,
                         struct helper_answer *answer, struct grant *ended)
{
    bool changed[FAMILIES] = {false}, done = true;
    struct error why;

    answer->closed = remove_meant(r->grants, order, ended, changed);
    answer->live = (uint32_t)r->grants->count;
    if (order->kill)
        answer->closed += remove_dropped(r, order, ended + answer->closed);
    if (answer->closed == 0)
        return;
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (changed[family] && r->firewall->xtables.in_use[family] &&
            !helper_firewall_rewrite(r->firewall, family, r->grants, &why)) {
            log_warnx("the firewall could not be changed: %s", why.text);
            done = false;
        }
    if (order->kill)
        done = end_connections(r, ended, answer->closed, &answer->ended) && done;
    answer->failed = !done;
}

void helper_answer(struct requests *r, const struct helper_order *order,
                   struct helper_answer *answer, struct grant **ended)
{
    *ended = NULL;
    begin_answer(r, order->serial, answer);
    if (order->command == HELPER_TELL)
        return;
    *ended = calloc(r->grants->count + r->dropped_count + 1, sizeof **ended);
    if (*ended)
        close_grants(r, order, answer, *ended);
    else
        answer->failed = 1;
}
