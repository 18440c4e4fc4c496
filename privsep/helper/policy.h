/* What the helper holds to: the setup that the supervisor sent at birth, and every profile.
 * Neither changes afterwards. */
#ifndef PORTSMITH_POLICY_H
#define PORTSMITH_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/limit.h"
#include "common/pool.h"
#include "privsep/message.h"

struct policy_entry {
    uint8_t key_id[KEY_ID_SIZE];
    const struct helper_profile *profile; /* cut to helper_profile_size, in the policy's pool */
    struct log_limit told; /* throttle.h */
};

struct policy {
    struct helper_setup setup;
    struct policy_entry *entries; /* setup.profile_count of them, by key id */
    struct helper_destination *destinations; /* of all profiles, each once, ascending */
    size_t destination_count;
    struct pool profiles;
};

/* Receives the setup and then the profiles from `fd` (SOCK_SEQPACKET), blocking.
 * False, with the reason, when a message has the wrong size, a value is out of range, what
 * must be zero is not, or the supervisor goes away. The profiles live as long as the
 * process. */
bool helper_policy_receive(struct policy *policy, int fd, struct error *why);

/* Whether a profile is one that a supervisor may send: every value in range, every list in
 * order, and zero what must be. */
bool helper_policy_accepts(const struct helper_profile *profile);

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

/* Writes into `text`, of `size` bytes, for the log, why a knock had this verdict at `now`
 * (seconds since the epoch). For a verdict that helper_policy_judge does not give, and where
 * `entry` is NULL, as there is no such profile, that is verdict_text. */
void helper_policy_explain(const struct policy_entry *entry, enum verdict verdict, int64_t now,
                           char *text, size_t size);

#endif
