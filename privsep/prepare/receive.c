#include "privsep/prepare/receive.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"

enum { PROFILES_MAX = 1000000 };

static bool receive_exactly(int fd, void *message, size_t size, struct error *why)
{
    ssize_t n;

    do
        n = recv(fd, message, size, MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_set(why, "cannot receive the setup: %s", strerror(errno));
    if ((size_t)n != size)
        return error_set(why, "a setup message of %zd bytes where %zu were expected", n, size);
    return true;
}

/* Whether a service is one that a profile may have. The byte between protocol and port belongs to
 * neither, and must be zero. */
static bool service_is_valid(const struct service *s)
{
    const uint8_t *between = (const uint8_t *)s + sizeof s->protocol;

    _Static_assert(offsetof(struct service, port) == sizeof s->protocol + 1, "one byte");
    return (s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP) && s->port != 0 &&
           *between == 0;
}

static bool setup_is_valid(const struct helper_setup *s)
{
    const int64_t longest = (int64_t)TRIAL_SECONDS_MAX * NSEC_PER_SEC;

    if (s->mode < HELPER_RUN || s->mode > HELPER_RELEASE_OTHER || s->backend > BACKEND_NFTABLES ||
        s->grant_store > GRANT_STORE_SET || s->shut_count > SHUT_SERVICES ||
        s->profile_count > PROFILES_MAX || s->trial_end < 0 ||
        s->trial_end > clock_boot_ns() + longest)
        return false;
    for (size_t i = 0; i < s->shut_count; i++)
        if (!service_is_valid(&s->shut[i]))
            return false;
    return true;
}

/* Whether a list of `count` elements, with room for `most`, is zero behind them. */
static bool rest_is_zero(const void *list, size_t size, size_t count, size_t most)
{
    return sodium_is_zero((const uint8_t *)list + count * size, (most - count) * size);
}

static bool lists_are_valid(const struct helper_profile *p)
{
    for (size_t i = 0; i < p->service_count; i++)
        if (!service_is_valid(&p->services[i]) ||
            (i > 0 && service_compare(&p->services[i - 1], &p->services[i]) >= 0))
            return false;
    for (size_t i = 0; i < p->prefix_count; i++)
        if (p->prefixes[i].length > 128)
            return false;
    for (size_t i = 0; i < p->hours_count; i++)
        if (p->hours[i].from >= p->hours[i].to || p->hours[i].to > MINUTES_A_WEEK ||
            (i > 0 && p->hours[i - 1].to > p->hours[i].from))
            return false;
    for (size_t i = 0; i < p->destination_count; i++)
        if (!service_is_valid(&p->destinations[i].service) || p->destinations[i].port == 0 ||
            !address_is_grantable(&p->destinations[i].address))
            return false;
    return true;
}

/* Only a security key has what an authenticator says, and an application. */
static bool signer_is_valid(const struct signer *s)
{
    const unsigned known = AUTHENTICATOR_TOUCHED | AUTHENTICATOR_VERIFIED;
    const bool has_application = !sodium_is_zero(s->application, sizeof s->application);

    if (s->form == SIGNER_SECURITY_KEY)
        return has_application && (s->required & ~known) == 0;
    return s->form <= SIGNER_SSH && !has_application && s->required == 0;
}

#define REST_IS_ZERO(list, count) \
    rest_is_zero(list, sizeof *(list), count, sizeof(list) / sizeof *(list))

bool helper_policy_accepts(const struct helper_profile *p)
{
    size_t n;

    if (p->name[sizeof p->name - 1] != '\0' || p->service_count == 0 ||
        p->service_count > POLICY_SERVICES || p->prefix_count > POLICY_PREFIXES ||
        p->hours_count > POLICY_HOURS || p->destination_count > POLICY_DESTINATIONS)
        return false;
    n = strspn(p->name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && rest_is_zero(p->name, 1, n, sizeof p->name) &&
           signer_is_valid(&p->signer) && lists_are_valid(p) && REST_IS_ZERO(p->services, p->service_count) &&
           REST_IS_ZERO(p->prefixes, p->prefix_count) && REST_IS_ZERO(p->hours, p->hours_count) &&
           REST_IS_ZERO(p->destinations, p->destination_count) && p->needs_signed_address <= 1 &&
           p->untracked >> p->service_count == 0 && p->window > 0 && p->max_window >= p->window &&
           p->max_grants > 0 && p->connections <= CONNECTIONS_MAX && p->expires >= 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct policy_entry *left = a, *right = b;

    return memcmp(left->key_id, right->key_id, KEY_ID_SIZE);
}

static int compare_destinations(const void *a, const void *b)
{
    const struct helper_destination *left = a, *right = b;
    int order = service_compare(&left->service, &right->service);

    if (order == 0)
        order = memcmp(left->address.bytes, right->address.bytes, sizeof left->address.bytes);
    return order != 0 ? order : left->port - right->port;
}

/* Collects the destinations of all profiles, and keeps each once. */
static bool collect_destinations(struct policy *policy, struct error *why)
{
    struct helper_destination *all;
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < policy->setup.profile_count; i++)
        count += policy->entries[i].profile->destination_count;
    all = policy->destinations = calloc(count + 1, sizeof *all);
    if (!all)
        return error_set(why, "no memory for %zu destinations", count);
    count = 0;
    for (size_t i = 0; i < policy->setup.profile_count; i++) {
        const struct helper_profile *p = policy->entries[i].profile;

        memcpy(all + count, p->destinations, p->destination_count * sizeof *all);
        count += p->destination_count;
    }
    qsort(all, count, sizeof *all, compare_destinations);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_destinations(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    policy->destination_count = kept;
    return true;
}

bool helper_policy_receive(struct policy *policy, int fd, struct error *why)
{
    struct helper_setup *setup = &policy->setup;

    if (!receive_exactly(fd, setup, sizeof *setup, why))
        return false;
    if (!setup_is_valid(setup))
        return error_set(why, "the setup has a value out of range");
    policy->entries = calloc((size_t)setup->profile_count + 1, sizeof *policy->entries);
    if (!policy->entries)
        return error_set(why, "no memory for %u profiles", setup->profile_count);
    for (size_t i = 0; i < setup->profile_count; i++) {
        struct policy_entry *entry = &policy->entries[i];
        struct helper_profile received;

        if (!receive_exactly(fd, &received, sizeof received, why))
            return false;
        if (!helper_policy_accepts(&received))
            return error_set(why, "profile %zu has a value out of range", i);
        envelope_key_id(entry->key_id, received.signer.public_key);
        entry->profile = pool_copy(&policy->profiles, &received, helper_profile_size(&received));
        if (!entry->profile)
            return error_set(why, "no memory for profile %zu", i);
    }
    qsort(policy->entries, setup->profile_count, sizeof *policy->entries, compare_entries);
    return collect_destinations(policy, why);
}

const struct policy_entry *helper_policy_entry(const struct policy *policy,
                                               const uint8_t key_id[static KEY_ID_SIZE])
{
    struct policy_entry wanted = {0};

    memcpy(wanted.key_id, key_id, KEY_ID_SIZE);
    return bsearch(&wanted, policy->entries, policy->setup.profile_count, sizeof wanted,
                   compare_entries);
}

uint64_t helper_policy_skew(const struct policy *policy)
{
    const struct helper_setup *setup = &policy->setup;

    return setup->skew_checked ? (uint64_t)setup->max_skew * USEC_PER_SEC : UINT64_MAX;
}

bool helper_policy_counts(const struct policy *policy)
{
    for (size_t i = 0; i < policy->setup.profile_count; i++)
        if (policy->entries[i].profile->connections)
            return true;
    return false;
}
