#include "daemon/witness/clients.h"

#include <stdlib.h>
#include <string.h>

bool clients_make(struct clients *clients, const struct plan *plan, struct error *why)
{
    size_t count;
    const struct plan_profile *from = plan_part(plan, &plan->profiles, sizeof *from, &count);

    *clients = (struct clients){.max_skew = plan->max_skew};
    clients->items = calloc(count + 1, sizeof *clients->items);
    if (!clients->items)
        return error_set(why, "no memory for %zu profiles", count);
    for (size_t i = 0; i < count; i++) {
        struct client *client = &clients->items[clients->count++];

        memcpy(client->key_id, from[i].key_id, KEY_ID_SIZE);
        client->profile = plan_part(plan, &from[i].profile, 1, NULL);
    }
    return true;
}

static int compare_key_ids(const void *key_id, const void *client)
{
    return memcmp(key_id, ((const struct client *)client)->key_id, KEY_ID_SIZE);
}

struct client *clients_find(const struct clients *clients,
                            const uint8_t key_id[static KEY_ID_SIZE])
{
    return bsearch(key_id, clients->items, clients->count, sizeof *clients->items,
                   compare_key_ids);
}

bool client_is_tracked(const struct client *client, const struct service *service)
{
    const struct helper_profile *profile = client->profile;

    for (size_t i = 0; i < profile->service_count; i++)
        if (service_compare(&profile->services[i], service) == 0)
            return !(profile->untracked >> i & 1);
    return true;
}
