/* The clients: the profiles of the plan, and how many lines the log has had about each. */
#ifndef PORTSMITH_WITNESS_CLIENTS_H
#define PORTSMITH_WITNESS_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/limit.h"
#include "privsep/message.h"
#include "privsep/plan.h"

struct client {
    uint8_t key_id[KEY_ID_SIZE];
    const struct helper_profile *profile; /* in the plan */
    struct log_limit told; /* lines about its grants: throttle.h */
};

struct clients {
    struct client *items; /* ascending by key id */
    size_t count;
    uint32_t max_skew; /* seconds, of the plan */
};

/* Makes the list of a plan, which stays mapped. False with the reason: no memory. The list lives
 * as long as the process. */
bool clients_make(struct clients *clients, const struct plan *plan, struct error *why);

/* Returns the client with that key id, or NULL. */
struct client *clients_find(const struct clients *clients,
                            const uint8_t key_id[static KEY_ID_SIZE]);

/* Whether the kernel tells of connections to one of a profile's services. */
bool client_is_tracked(const struct client *client, const struct service *service);

#endif
