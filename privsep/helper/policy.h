/* What the helper holds each client to: the profiles of the plan. */
#ifndef PORTSMITH_POLICY_H
#define PORTSMITH_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "privsep/plan.h"

/* Returns the plan's profile with that key id, and in *at its place in the plan's list; or NULL. */
const struct helper_profile *helper_policy_find(const struct plan *plan,
                                                const uint8_t key_id[static KEY_ID_SIZE],
                                                size_t *at);

/* Whether the profile may open `service`. */
bool helper_policy_permits_service(const struct helper_profile *profile,
                                   const struct service *service);

/* Whether the kernel tells of connections to one of the profile's services: false where it
 * is told not to track them. */
bool helper_policy_is_tracked(const struct helper_profile *profile,
                              const struct service *service);

/* Whether the profile may open anything to `address`. */
bool helper_policy_permits_address(const struct helper_profile *profile,
                                   const struct address *address);

/* Returns the profile's destination of a service for addresses of one family, or NULL. */
const struct helper_destination *
helper_policy_destination(const struct helper_profile *profile, const struct service *service,
                          enum family family);

/* Whether this host is only the gateway of the service, for whichever family. */
bool helper_policy_sends_on(const struct helper_profile *profile, const struct service *service);

/* Whether doors may be opened for the profile at `now`, in seconds since the epoch. Returns 0,
 * or the verdict that says why not. */
enum verdict helper_policy_judge(const struct helper_profile *profile, int64_t now);

/* Returns when, at the latest, a door must be shut that is opened at `now`, both in seconds since
 * the epoch. INT64_MAX: the profile sets no end. `now` or earlier: no door may be opened. */
int64_t helper_policy_latest_end(const struct helper_profile *profile, int64_t now);

#endif
