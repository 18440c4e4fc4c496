/* What the supervisor sends at birth: the setup, and every profile. */
#ifndef PORTSMITH_RECEIVE_H
#define PORTSMITH_RECEIVE_H

#include <stdbool.h>

#include "common/error.h"
#include "common/pool.h"
#include "privsep/setup.h"

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

/* Returns, in microseconds, how far a knock may be from the clock; UINT64_MAX: MaxSkew is off. */
uint64_t helper_policy_skew(const struct policy *policy);

/* Whether some profile's grants admit only so many connections. */
bool helper_policy_counts(const struct policy *policy);

/* Receives the setup and then the profiles from `fd` (SOCK_SEQPACKET), blocking.
 * False, with the reason, when a message has the wrong size, a value is out of range, what
 * must be zero is not, or the supervisor goes away. The profiles live as long as the
 * process. */
bool helper_policy_receive(struct policy *policy, int fd, struct error *why);

/* Returns the entry with that key id, or NULL. */
const struct policy_entry *helper_policy_entry(const struct policy *policy,
                                               const uint8_t key_id[static KEY_ID_SIZE]);

/* Whether a profile is one that a supervisor may send: every value in range, every list in
 * order, and zero what must be. */
bool helper_policy_accepts(const struct helper_profile *profile);

#endif
