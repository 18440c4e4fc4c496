/* What the helper holds to: the setup that the supervisor sent at birth, and every profile.
 * Neither changes afterwards. */
#ifndef PORTSMITH_POLICY_H
#define PORTSMITH_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/pool.h"
#include "privsep/message.h"
#include "privsep/plan.h"

struct policy_entry {
    uint8_t key_id[KEY_ID_SIZE];
    const struct helper_profile *profile; /* cut to helper_profile_size, in the policy's pool */
};

struct policy {
    struct helper_setup setup;
    struct policy_entry *entries; /* setup.profile_count of them, by key id */
    struct helper_destination *destinations; /* of all profiles, each once, ascending */
    size_t destination_count;
    struct pool profiles;
};

/* Makes *policy of a plan, which must stay mapped. Its destinations are not in it. False with the
 * reason where there is no memory. */
bool helper_policy_open(struct policy *policy, const struct plan *plan, struct error *why);

/* Returns the profile with that key id, or NULL. */
struct policy_entry *helper_policy_find(const struct policy *policy,
                                        const uint8_t key_id[static KEY_ID_SIZE]);

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
