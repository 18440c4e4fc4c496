#include "privsep/helper/orders.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

bool helper_order_is_canonical(const struct helper_order *order)
{
    bool names_profile = !sodium_is_zero(order->key_id, KEY_ID_SIZE);

    if (order->kill > 1)
        return false;
    switch (order->command) {
    case HELPER_STOP:
        return !order->scope && !order->id && !order->last_id && !order->kill && !names_profile;
    case HELPER_TELL:
        return order->serial && !order->scope && !order->id && !order->last_id && !order->kill &&
               !names_profile;
    case HELPER_CLOSE:
        return order->serial && order->scope >= HELPER_SCOPE_ID &&
               order->scope <= HELPER_SCOPE_ALL &&
               (order->scope == HELPER_SCOPE_ID) == (order->id != 0) &&
               (order->scope != HELPER_SCOPE_ID || !order->last_id) &&
               (order->scope == HELPER_SCOPE_PROFILE || !names_profile);
    default:
        return false;
    }
}

/* ---- tell --------------------------------------------------------------- */

static void begin_report(const struct requests *r, uint32_t serial, struct helper_report *report)
{
    const struct xtables *xtables = &r->firewall->xtables;

    memset(report, 0, sizeof *report);
    report->kind = HELPER_REPORT;
    report->serial = serial;
    report->backend = xtables->backend;
    report->families = (xtables->in_use[IPV4] ? 1u : 0u) | (xtables->in_use[IPV6] ? 2u : 0u);
    report->grant_store = r->firewall->uses_set ? GRANT_STORE_SET : GRANT_STORE_RULES;
    report->live = (uint32_t)r->grants->count;
    memcpy(report->verdicts, r->verdicts, sizeof report->verdicts);
}

void helper_report_unasked(const struct requests *r, struct helper_report *report)
{
    begin_report(r, 0, report);
}

/* ---- close -------------------------------------------------------------- */

static bool is_meant(const struct helper_order *order, const struct grant *grant)
{
    switch (order->scope) {
    case HELPER_SCOPE_ID:
        return grant->id == order->id;
    case HELPER_SCOPE_PROFILE:
        return grant->id <= order->last_id &&
               memcmp(grant->key_id, order->key_id, KEY_ID_SIZE) == 0;
    default:
        return grant->id <= order->last_id;
    }
}

/* Moves the grants that an order means from the table to `ended`. Returns how many there were. */
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

static void close_grants(struct requests *r, const struct helper_order *order,
                         struct helper_report *report, struct grant *ended)
{
    bool changed[FAMILIES] = {false}, done = true;
    struct error why;

    report->closed = remove_meant(r->grants, order, ended, changed);
    report->live = (uint32_t)r->grants->count;
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (changed[family] && r->firewall->xtables.in_use[family] &&
            !helper_firewall_rewrite(r->firewall, family, r->grants, &why)) {
            log_warnx("the firewall could not be changed: %s", why.text);
            done = false;
        }
    report->failed = !done;
}

void helper_orders_serve(struct requests *r, const struct helper_order *order,
                   struct helper_report *report, struct grant **ended)
{
    *ended = NULL;
    begin_report(r, order->serial, report);
    if (order->command == HELPER_TELL)
        return;
    *ended = calloc(r->grants->count + 1, sizeof **ended);
    if (*ended)
        close_grants(r, order, report, *ended);
    else
        report->failed = 1;
}
