#include "privsep/helper/policy.h"

#include <errno.h>
#include <netinet/in.h>
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

static bool service_is_valid(const struct service *s)
{
    return (s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP) && s->port != 0;
}

static bool trial_is_valid(int64_t end)
{
    return end >= 0 && end <= clock_boot_ns() + (int64_t)TRIAL_SECONDS_MAX * NSEC_PER_SEC;
}

static bool setup_is_valid(const struct helper_setup *s)
{
    if (s->mode < HELPER_RUN || s->mode > HELPER_RELEASE_OTHER || s->backend > BACKEND_LEGACY ||
        s->grant_store > GRANT_STORE_SET || s->close_count > CLOSE_SERVICES ||
        s->profile_count > PROFILES_MAX || !trial_is_valid(s->trial_end))
        return false;
    for (size_t i = 0; i < s->close_count; i++)
        if (!service_is_valid(&s->close[i]))
            return false;
    return true;
}

static bool hours_are_valid(const struct hours *hours)
{
    return hours->from < hours->to && hours->to <= MINUTES_A_WEEK;
}

static bool destination_is_valid(const struct helper_destination *d)
{
    return service_is_valid(&d->service) && d->port != 0 && address_is_grantable(&d->address);
}

static bool message_is_valid(const struct helper_profile_message *p)
{
    if (p->service_count == 0 || p->service_count > POLICY_SERVICES ||
        p->prefix_count > POLICY_PREFIXES || p->destination_count > POLICY_DESTINATIONS ||
        p->hours_count > POLICY_HOURS || p->name[POLICY_NAME_SIZE - 1] != '\0')
        return false;
    for (size_t i = 0; i < p->service_count; i++)
        if (!service_is_valid(&p->services[i]))
            return false;
    for (size_t i = 0; i < p->prefix_count; i++)
        if (p->prefixes[i].length > 128)
            return false;
    for (size_t i = 0; i < p->hours_count; i++)
        if (!hours_are_valid(&p->hours[i]))
            return false;
    for (size_t i = 0; i < p->destination_count; i++)
        if (!destination_is_valid(&p->destinations[i]))
            return false;
    return p->window > 0 && p->max_window >= p->window && p->max_grants > 0 &&
           p->connections <= CONNECTIONS_MAX;
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

static void keep_each_once(struct policy *policy)
{
    struct helper_destination *all = policy->destinations;
    size_t kept = 0;

    qsort(all, policy->destination_count, sizeof *all, compare_destinations);
    for (size_t i = 0; i < policy->destination_count; i++)
        if (kept == 0 || compare_destinations(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    policy->destination_count = kept;
}

static bool collect_destinations(struct policy *policy, struct error *why)
{
    size_t count = 0;

    for (size_t i = 0; i < policy->setup.profile_count; i++)
        count += policy->entries[i].profile.destination_count;
    policy->destinations = calloc(count + 1, sizeof *policy->destinations);
    if (!policy->destinations)
        return error_set(why, "no memory for %zu destinations", count);
    for (size_t i = 0; i < policy->setup.profile_count; i++) {
        const struct helper_profile *p = &policy->entries[i].profile;

        memcpy(policy->destinations + policy->destination_count, p->destinations,
               p->destination_count * sizeof *p->destinations);
        policy->destination_count += p->destination_count;
    }
    keep_each_once(policy);
    return true;
}

static bool keep_lists(struct pool *pool, struct helper_profile *to,
                       const struct helper_profile_message *from)
{
    to->services = pool_copy(pool, from->services, from->service_count * sizeof *from->services);
    to->prefixes = pool_copy(pool, from->prefixes, from->prefix_count * sizeof *from->prefixes);
    to->destinations = pool_copy(pool, from->destinations,
                                 from->destination_count * sizeof *from->destinations);
    to->hours = pool_copy(pool, from->hours, from->hours_count * sizeof *from->hours);
    return to->services && to->prefixes && to->destinations && to->hours;
}

static bool keep_profile(struct pool *pool, struct helper_profile *to,
                         const struct helper_profile_message *from)
{
    *to = (struct helper_profile){.needs_signed_address = from->needs_signed_address != 0,
                                  .service_count = from->service_count,
                                  .prefix_count = from->prefix_count,
                                  .destination_count = from->destination_count,
                                  .hours_count = (uint8_t)from->hours_count,
                                  .untracked = from->untracked,
                                  .window = from->window,
                                  .max_window = from->max_window,
                                  .max_grants = from->max_grants,
                                  .connections = from->connections,
                                  .expires = from->expires};
    memcpy(to->name, from->name, sizeof to->name);
    memcpy(to->public_key, from->public_key, KEY_SIZE);
    return keep_lists(pool, to, from);
}

static bool receive_profile(struct policy *policy, size_t number, int fd, struct error *why)
{
    struct policy_entry *entry = &policy->entries[number];
    struct helper_profile_message message;

    if (!receive_exactly(fd, &message, sizeof message, why))
        return false;
    if (!message_is_valid(&message))
        return error_set(why, "profile %zu has a value out of range", number);
    envelope_key_id(entry->key_id, message.public_key);
    return keep_profile(&policy->lists, &entry->profile, &message) ||
           error_set(why, "no memory for profile %zu", number);
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
    for (size_t i = 0; i < setup->profile_count; i++)
        if (!receive_profile(policy, i, fd, why))
            return false;
    qsort(policy->entries, setup->profile_count, sizeof *policy->entries, compare_entries);
    return collect_destinations(policy, why);
}

struct policy_entry *helper_policy_find(const struct policy *policy,
                                        const uint8_t key_id[static KEY_ID_SIZE])
{
    struct policy_entry wanted = {0};

    memcpy(wanted.key_id, key_id, KEY_ID_SIZE);
    return bsearch(&wanted, policy->entries, policy->setup.profile_count, sizeof wanted,
                   compare_entries);
}

bool helper_policy_permits_service(const struct helper_profile *profile,
                                   const struct service *service)
{
    for (size_t i = 0; i < profile->service_count; i++)
        if (service_compare(&profile->services[i], service) == 0)
            return true;
    return false;
}

bool helper_policy_is_tracked(const struct helper_profile *profile, const struct service *service)
{
    for (size_t i = 0; i < profile->service_count; i++)
        if (service_compare(&profile->services[i], service) == 0)
            return !(profile->untracked >> i & 1);
    return true;
}

bool helper_policy_permits_address(const struct helper_profile *profile,
                                   const struct address *address)
{
    for (size_t i = 0; i < profile->prefix_count; i++)
        if (prefix_contains(&profile->prefixes[i], address))
            return true;
    return profile->prefix_count == 0;
}

const struct helper_destination *
helper_policy_destination(const struct helper_profile *profile, const struct service *service,
                          bool ipv4)
{
    for (size_t i = 0; i < profile->destination_count; i++) {
        const struct helper_destination *d = &profile->destinations[i];

        if (service_compare(&d->service, service) == 0 && address_is_ipv4(&d->address) == ipv4)
            return d;
    }
    return NULL;
}

bool helper_policy_sends_on(const struct helper_profile *profile, const struct service *service)
{
    return helper_policy_destination(profile, service, true) ||
           helper_policy_destination(profile, service, false);
}

bool helper_policy_is_expired(const struct helper_profile *profile, int64_t now)
{
    return profile->expires != 0 && now >= profile->expires;
}

uint16_t helper_policy_minute(int64_t now)
{
    enum { MONDAY_TO_THURSDAY = 3 * MINUTES_A_DAY }; /* 1970-01-01 */

    return (uint16_t)((now / 60 + MONDAY_TO_THURSDAY) % MINUTES_A_WEEK);
}

/* The end of the hours that hold a minute, or the minute itself. */
static uint16_t end_of_hours(const struct helper_profile *profile, uint16_t minute)
{
    for (size_t i = 0; i < profile->hours_count; i++)
        if (profile->hours[i].from <= minute && minute < profile->hours[i].to)
            return profile->hours[i].to;
    return minute;
}

/* Hours that go on after midnight, or after the week, are those of the next day. */
static int64_t latest_in_hours(const struct helper_profile *profile, int64_t now)
{
    int64_t end = now;

    for (size_t i = 0; i <= profile->hours_count; i++) {
        uint16_t minute = helper_policy_minute(end), until = end_of_hours(profile, minute);

        if (until == minute)
            return end;
        end += (int64_t)(until - minute) * 60 - end % 60;
    }
    return INT64_MAX; /* there is no gap in the week */
}

int64_t helper_policy_latest_end(const struct helper_profile *profile, int64_t now)
{
    int64_t end = profile->hours_count > 0 ? latest_in_hours(profile, now) : INT64_MAX;

    return profile->expires != 0 && profile->expires < end ? profile->expires : end;
}

bool helper_policy_is_outside_hours(const struct helper_profile *profile, int64_t now)
{
    uint16_t minute = helper_policy_minute(now);

    return profile->hours_count > 0 && end_of_hours(profile, minute) == minute;
}

uint16_t helper_policy_next_hours(const struct helper_profile *profile, int64_t now)
{
    uint16_t minute = helper_policy_minute(now);

    for (size_t i = 0; i < profile->hours_count; i++)
        if (profile->hours[i].from > minute)
            return profile->hours[i].from;
    return profile->hours[0].from;
}
