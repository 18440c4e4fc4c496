#include "privsep/prepare/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clock.h"
#include "privsep/grantfile.h"
#include "privsep/helper/policy.h"

static const char new_file[] = GRANTTABLE_FILE ".new";

/* Makes the file, under another name. All its blocks are allocated, so that writing to the map
 * cannot fail. False with errno set; what was opened by then is in *grants. */
static bool make_file(struct grants *grants, int run_dir, size_t capacity)
{
    const size_t size = granttable_size(capacity);
    void *map;

    unlinkat(run_dir, new_file, 0); /* a helper that was killed meanwhile left it */
    grants->file = openat(run_dir, new_file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (grants->file < 0)
        return false;
    errno = posix_fallocate(grants->file, 0, (off_t)size);
    if (errno != 0)
        return false;
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, grants->file, 0);
    if (map == MAP_FAILED)
        return false;
    grants->table = map;
    grants->items = grants->table->grants;
    grants->capacity = capacity;
    return granttable_begin(grants->table, capacity);
}

/* Whether the helper could have granted it: a grant that is taken over becomes a rule. No
 * profile has a window that does not fit into 32 bits. */
static bool is_sane(const struct grant *grant, int64_t now)
{
    const struct service *s = &grant->service;

    if (grant->destination_port != 0 &&
        (!address_is_grantable(&grant->destination) ||
         address_is_ipv4(&grant->destination) != address_is_ipv4(&grant->address)))
        return false;
    return grant->deadline > 0 &&
           grant->deadline - now <= UINT32_MAX * (int64_t)NSEC_PER_SEC &&
           address_is_grantable(&grant->address) &&
           grant->signed_address <= GRANT_SIGNED_ELSEWHERE && s->port != 0 &&
           (s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP);
}

/* Whether the table has the profile's grant of that door already. */
static bool holds(const struct grants *grants, const struct grant *wanted)
{
    const struct grant *grant = NULL;

    while ((grant = helper_grants_next_of(grants, wanted->key_id, grant)))
        if (address_equal(&grant->address, &wanted->address) &&
            service_compare(&grant->service, &wanted->service) == 0)
            return true;
    return false;
}

static void take(struct grants *grants, const struct granttable_view *before, int64_t now,
                 bool has_ended)
{
    struct grant grant;

    for (size_t i = 0; i < before->capacity && grants->count < grants->capacity; i++)
        if (granttable_read(before, i, &grant) && is_sane(&grant, now) &&
            (grant.deadline <= now) == has_ended && !holds(grants, &grant))
            helper_grants_put(grants, &grant);
}

/* Takes over what the last helper granted in this boot; without a file of this boot, that was
 * nothing. The same grant is in two records if its helper was killed while it moved from one
 * to the other: it is taken over once. What has ended comes last, for a live grant needs its
 * place more. */
static void take_over(struct grants *grants, int run_dir, int64_t now)
{
    struct granttable_view before;
    struct error unused;

    if (!granttable_open(&before, run_dir, &unused))
        return;
    grants->table->last_id = grants->table->last_id_before = before.last_id;
    grants->table->begun = before.begun;
    take(grants, &before, now, false);
    take(grants, &before, now, true);
    granttable_close(&before);
}

bool helper_grants_create(struct grants *grants, int run_dir, size_t capacity, int64_t now,
                          struct error *why)
{
    *grants = (struct grants){.file = -1, .next_deadline = INT64_MAX};
    if (make_file(grants, run_dir, capacity)) {
        take_over(grants, run_dir, now);
        if (renameat(run_dir, new_file, run_dir, GRANTTABLE_FILE) == 0)
            return true;
    }
    error_set(why, "cannot make the table of grants: %s", strerror(errno));
    helper_grants_free(grants);
    unlinkat(run_dir, new_file, 0);
    return false;
}

void helper_grants_free(struct grants *grants)
{
    if (grants->table)
        munmap(grants->table, granttable_size(grants->capacity));
    if (grants->file >= 0)
        close(grants->file);
    *grants = (struct grants){.file = -1, .next_deadline = INT64_MAX};
}

/* Whether the profile would grant it now, and send it on to where it is sent. */
static bool is_permitted(const struct helper_profile *profile, const struct grant *grant)
{
    const int64_t now = clock_wall_ns() / NSEC_PER_SEC;
    const struct helper_destination *d =
        helper_policy_destination(profile, &grant->service, address_family(&grant->address));

    if (helper_policy_latest_end(profile, now) <= now ||
        !helper_policy_permits_service(profile, &grant->service) ||
        !helper_policy_permits_address(profile, &grant->address) ||
        (profile->needs_signed_address && !grant->signed_address))
        return false;
    if (d)
        return d->port == grant->destination_port &&
               address_equal(&d->address, &grant->destination);
    return grant->destination_port == 0 && !helper_policy_sends_on(profile, &grant->service);
}

/* Returns the latest deadline (CLOCK_BOOTTIME, nanoseconds) that the profile would give a grant
 * now. */
static int64_t latest_deadline(const struct helper_profile *profile)
{
    int64_t window = profile->max_window, now = clock_wall_ns() / NSEC_PER_SEC;
    int64_t left = helper_policy_latest_end(profile, now) - now;

    if (left < window)
        window = left > 0 ? left : 0;
    return clock_boot_ns() + window * NSEC_PER_SEC;
}

void helper_grants_keep_permitted(struct grants *grants, const struct policy *policy)
{
    for (size_t i = grants->count; i-- > 0;) {
        struct grant *grant = &grants->items[i];
        const struct policy_entry *entry = helper_policy_entry(policy, grant->key_id);

        if (entry && is_permitted(entry->profile, grant)) {
            helper_grants_shorten(grants, grant, latest_deadline(entry->profile));
            if (grant->connections == 0 && entry->profile->connections != 0)
                grant->allowance++; /* until now only the first connection was counted */
            grant->connections = entry->profile->connections;
            grant_seal(grant);
        } else {
            helper_grants_remove_at(grants, i);
        }
    }
}
