#include "privsep/helper/orders.h"

#include <sodium.h>
#include <string.h>

bool helper_order_is_canonical(const struct helper_order *order)
{
    const struct helper_order bare = {.command = order->command, .serial = order->serial};

    if (order->command != HELPER_CLOSE)
        return memcmp(order, &bare, sizeof bare) == 0 &&
               (order->command == HELPER_STOP || (order->command == HELPER_TELL && order->serial));
    if (!order->serial || order->kill > 1 ||
        (order->scope != HELPER_SCOPE_PROFILE && !sodium_is_zero(order->key_id, KEY_ID_SIZE)))
        return false;
    if (order->scope == HELPER_SCOPE_ID)
        return order->id && !order->last_id;
    return !order->id &&
           (order->scope == HELPER_SCOPE_PROFILE || order->scope == HELPER_SCOPE_ALL);
}

static bool is_meant(const struct helper_order *order, const struct grant *grant)
{
    if (order->scope == HELPER_SCOPE_ID)
        return grant->id == order->id;
    return grant->id <= order->last_id &&
           (order->scope == HELPER_SCOPE_ALL ||
            memcmp(grant->key_id, order->key_id, KEY_ID_SIZE) == 0);
}

uint32_t helper_order_end(const struct helper_order *order, struct grants *grants)
{
    uint32_t count = 0;

    for (size_t i = 0; i < grants->count; i++)
        if (is_meant(order, &grants->items[i])) {
            helper_grants_end(grants, &grants->items[i], order->kill ? END_KILLED : END_CLOSED);
            count++;
        }
    return count;
}
