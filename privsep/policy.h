/* What the helper holds to: the setup that the supervisor sent at birth, and
 * every profile's public key and limits. Never changed afterwards. */
#ifndef PORTSMITH_POLICY_H
#define PORTSMITH_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "message.h"

struct policy_entry {
    uint8_t key_id[KEY_ID_SIZE];
    struct helper_profile profile;
};

struct policy {
    struct helper_setup setup;
    struct policy_entry *entries; /* setup.profile_count of them, by key id */
    struct helper_destination *destinations; /* of all profiles, each once, ascending */
    size_t destination_count;
};

/* Receives the setup and then the profiles from `fd` (SOCK_SEQPACKET), blocking.
 * False, with the reason, when a message has the wrong size, a value is out of
 * range, or the supervisor goes away. What they point to lives as long as the process. */
bool helper_policy_receive(struct policy *policy, int fd, struct error *why);

/* NULL when no profile has that key id. */
const struct policy_entry *helper_policy_find(const struct policy *policy,
                                              const uint8_t key_id[static KEY_ID_SIZE]);

/* Whether the profile may open `service`. */
bool helper_policy_permits_service(const struct helper_profile *profile,
                                   const struct service *service);

/* Whether the profile may open anything to `address`. */
bool helper_policy_permits_address(const struct helper_profile *profile,
                                   const struct address *address);

/* The profile's destination of a service for addresses of one family, NULL if it has
 * none. */
const struct helper_destination *
helper_policy_destination(const struct helper_profile *profile, const struct service *service,
                          bool ipv4);

/* Whether this host is only the gateway of the service, for whichever family. */
bool helper_policy_sends_on(const struct helper_profile *profile, const struct service *service);

/* Whether the profile's last day is over; `now` in seconds since the epoch. */
bool helper_policy_is_expired(const struct helper_profile *profile, int64_t now);

/* When, at the latest, a door must be shut that is opened now, by the profile's Hours
 * and last day. Both in seconds since the epoch; INT64_MAX: whenever; `now` or before:
 * none may be opened. */
int64_t helper_policy_latest_end(const struct helper_profile *profile, int64_t now);

/* Whether the profile has Hours, and this is not in them. */
bool helper_policy_is_outside_hours(const struct helper_profile *profile, int64_t now);

/* Minutes since Monday 00:00 UTC: as it is now, and when the profile's Hours next
 * begin, of which there must be some. */
uint16_t helper_policy_minute(int64_t now);
uint16_t helper_policy_next_hours(const struct helper_profile *profile, int64_t now);

#endif
