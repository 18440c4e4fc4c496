/* What the helper holds to: the setup that the supervisor sent at birth, and
 * every profile's public key and limits. Never changed afterwards, but for what the log was
 * told. */
#ifndef PORTSMITH_POLICY_H
#define PORTSMITH_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/limit.h"
#include "common/pool.h"
#include "privsep/message.h"

/* A struct helper_profile_message, whose lists take only the room that they need: there
 * may be ten thousand. */
struct helper_profile {
    char name[POLICY_NAME_SIZE];
    bool needs_signed_address;
    uint8_t service_count; /* 1 to POLICY_SERVICES */
    uint8_t prefix_count;  /* 0: any address */
    uint8_t destination_count; /* a service has none, or one for a family */
    uint8_t hours_count;   /* 0: at any time */
    uint8_t public_key[KEY_SIZE];
    uint16_t untracked;  /* bit i: the kernel is told not to track services[i] */
    uint32_t window;     /* seconds, when the knock names none */
    uint32_t max_window; /* seconds; longer wishes are cut to it */
    uint32_t max_grants; /* live grants of this profile */
    uint32_t connections; /* that a grant admits; 0: any number */
    int64_t expires;     /* seconds since the epoch; 0: never */
    const struct service *services; /* ascending; these four lie in the policy's pool */
    const struct prefix *prefixes;
    const struct helper_destination *destinations;
    const struct hours *hours; /* ascending, apart */
};

struct policy_entry {
    uint8_t key_id[KEY_ID_SIZE];
    struct helper_profile profile;
    struct log_limit told; /* lines.h */
};

struct policy {
    struct helper_setup setup;
    struct policy_entry *entries; /* setup.profile_count of them, by key id */
    struct helper_destination *destinations; /* of all profiles, each once, ascending */
    size_t destination_count;
    struct pool lists; /* of the profiles */
};

/* Receives the setup and then the profiles from `fd` (SOCK_SEQPACKET), blocking.
 * False, with the reason, when a message has the wrong size, a value is out of
 * range, or the supervisor goes away. What they point to lives as long as the process. */
bool helper_policy_receive(struct policy *policy, int fd, struct error *why);

/* NULL when no profile has that key id. */
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
