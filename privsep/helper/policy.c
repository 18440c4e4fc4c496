#include "privsep/helper/policy.h"

#include <stdlib.h>
#include <string.h>

static int compare_key_ids(const void *key_id, const void *profile)
{
    return memcmp(key_id, ((const struct plan_profile *)profile)->key_id, KEY_ID_SIZE);
}

const struct helper_profile *helper_policy_find(const struct plan *plan,
                                                const uint8_t key_id[static KEY_ID_SIZE],
                                                size_t *at)
{
    const struct plan_profile *all = plan_part(plan, &plan->profiles, 1, NULL);
    const struct plan_profile *found = bsearch(key_id, all, plan->profile_count, sizeof *all,
                                               compare_key_ids);

    if (!found)
        return NULL;
    *at = (size_t)(found - all);
    return plan_part(plan, &found->profile, 1, NULL);
}

/* Returns the place of a service in the profile's list; the list's length where it has none. */
static size_t place_of(const struct helper_profile *profile, const struct service *service)
{
    size_t i = 0;

    while (i < profile->service_count && service_compare(&profile->services[i], service) != 0)
        i++;
    return i;
}

bool helper_policy_permits_service(const struct helper_profile *profile,
                                   const struct service *service)
{
    return place_of(profile, service) < profile->service_count;
}

/* Of a service that the profile does not have nobody said that it is not tracked. */
bool helper_policy_is_tracked(const struct helper_profile *profile, const struct service *service)
{
    return !(profile->untracked >> place_of(profile, service) & 1);
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
                          enum family family)
{
    for (size_t i = 0; i < profile->destination_count; i++) {
        const struct helper_destination *d = &profile->destinations[i];

        if (service_compare(&d->service, service) == 0 && address_family(&d->address) == family)
            return d;
    }
    return NULL;
}

bool helper_policy_sends_on(const struct helper_profile *profile, const struct service *service)
{
    return helper_policy_destination(profile, service, IPV4) ||
           helper_policy_destination(profile, service, IPV6);
}

/* Returns the minutes since Monday 00:00 UTC. */
static uint16_t minute_of(int64_t now)
{
    enum { MONDAY_TO_THURSDAY = 3 * MINUTES_A_DAY }; /* 1970-01-01 */

    return (uint16_t)((now / 60 + MONDAY_TO_THURSDAY) % MINUTES_A_WEEK);
}

/* Returns the end of the hours that hold `now`, or `now` if none do. Hours that go on after
 * midnight, or after the week, are followed by those of the next day. */
static int64_t latest_in_hours(const struct helper_profile *profile, int64_t now)
{
    int64_t end = now;

    if (profile->hours_count == 0)
        return INT64_MAX;
    for (size_t i = 0; i <= profile->hours_count; i++) {
        uint16_t minute = minute_of(end), until = minute;

        for (size_t j = 0; j < profile->hours_count; j++)
            if (profile->hours[j].from <= minute && minute < profile->hours[j].to)
                until = profile->hours[j].to;
        if (until == minute)
            return end;
        end += (int64_t)(until - minute) * 60 - end % 60;
    }
    return INT64_MAX; /* there is no gap in the week */
}

int64_t helper_policy_latest_end(const struct helper_profile *profile, int64_t now)
{
    int64_t end = latest_in_hours(profile, now);

    return profile->expires != 0 && profile->expires < end ? profile->expires : end;
}

enum verdict helper_policy_judge(const struct helper_profile *profile, int64_t now)
{
    if (profile->expires != 0 && now >= profile->expires)
        return VERDICT_EXPIRED_PROFILE;
    if (latest_in_hours(profile, now) <= now)
        return VERDICT_OUTSIDE_HOURS;
    return 0;
}
