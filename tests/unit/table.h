/* A table of grants as knocks and orders change it, one grant at a time, for unit tests and fuzz
 * targets. */
#ifndef PORTSMITH_TABLE_H
#define PORTSMITH_TABLE_H

#include <string.h>

#include "privsep/helper/grants.h"

/* Returns the grant, which is good until the table changes, or NULL when there is none. */
static inline struct grant *table_find(struct grants *grants, const uint8_t *key_id,
                                       const struct address *address,
                                       const struct service *service)
{
    for (size_t i = 0; i < grants->count; i++) {
        struct grant *grant = &grants->items[i];

        if (memcmp(grant->key_id, key_id, KEY_ID_SIZE) == 0 &&
            address_equal(&grant->address, address) &&
            service_compare(&grant->service, service) == 0)
            return grant;
    }
    return NULL;
}

/* Extends the grant, or adds it to a table that has room, and returns it. */
static inline struct grant *table_open(struct grants *grants, const uint8_t *key_id,
                                       const struct address *address,
                                       const struct service *service, int64_t deadline)
{
    struct grant *grant = table_find(grants, key_id, address, service);
    struct grant new = {.address = *address, .service.protocol = service->protocol,
                        .service.port = service->port, .deadline = deadline};

    memcpy(new.key_id, key_id, KEY_ID_SIZE);
    if (!grant)
        return helper_grants_add(grants, &new);
    helper_grants_extend(grants, grant, deadline);
    return grant;
}

/* Removes the grant. False when there is none. */
static inline bool table_close(struct grants *grants, const uint8_t *key_id,
                                const struct address *address, const struct service *service)
{
    struct grant *grant = table_find(grants, key_id, address, service);

    if (grant)
        helper_grants_remove_at(grants, (size_t)(grant - grants->items));
    return grant != NULL;
}

/* Returns how many grants the profile has. */
static inline size_t table_count_of(const struct grants *grants, const uint8_t *key_id)
{
    const struct grant *grant = NULL;
    size_t count = 0;

    while ((grant = helper_grants_next_of(grants, key_id, grant)))
        count++;
    return count;
}

#endif
