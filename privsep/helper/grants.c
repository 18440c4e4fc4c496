#include "privsep/helper/grants.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

/* ---- finding ------------------------------------------------------------ */

const struct grant *helper_grants_next_of(const struct grants *grants,
                                          const uint8_t key_id[static KEY_ID_SIZE],
                                          const struct grant *last)
{
    for (size_t i = last ? (size_t)(last - grants->items) + 1 : 0; i < grants->count; i++)
        if (memcmp(grants->items[i].key_id, key_id, KEY_ID_SIZE) == 0)
            return &grants->items[i];
    return NULL;
}

const struct grant *helper_grants_next_of_door(const struct grants *grants,
                                               const struct door *door, const struct grant *last)
{
    for (size_t i = last ? (size_t)(last - grants->items) + 1 : 0; i < grants->count; i++) {
        const struct grant *grant = &grants->items[i];

        if (address_equal(&grant->address, &door->address) &&
            service_compare(&grant->service, &door->service) == 0)
            return grant;
    }
    return NULL;
}

struct grants_cursor helper_grants_begin(const struct grants *grants)
{
    return (struct grants_cursor){grants->count, grants->touched_count};
}

const struct grant *helper_grants_next(const struct grants *grants, struct grants_cursor *cursor)
{
    return cursor->at > 0 ? &grants->items[--cursor->at] : NULL;
}

const struct grant *helper_grants_next_touched(const struct grants *grants,
                                               struct grants_cursor *cursor)
{
    const struct grant *grant = NULL;

    if (cursor->touched == 0)
        return NULL;
    cursor->touched--;
    do
        grant = helper_grants_next(grants, cursor);
    while (grant && !grant->touched);
    return grant;
}

/* ---- changing ----------------------------------------------------------- */

/* Sets when a grant ends. The kernel counts whole seconds, the last one included: rounding down
 * and taking one off never leaves a door open past its deadline. */
static void set_deadline(struct grants *grants, struct grant *grant, int64_t deadline)
{
    int64_t wall = clock_wall_ns() + (deadline - clock_boot_ns());

    grant->deadline = deadline;
    grant->last_second = wall / NSEC_PER_SEC - 1;
    if (deadline < grants->next_deadline)
        grants->next_deadline = deadline;
    grant_seal(grant);
}

void helper_grants_follow_clock(struct grants *grants)
{
    for (size_t i = 0; i < grants->count; i++)
        set_deadline(grants, &grants->items[i], grants->items[i].deadline);
}

/* Puts a copy of a grant behind the others, as it is. */
static struct grant *put_last(struct grants *grants, const struct grant *grant)
{
    struct grant *added = &grants->items[grants->count];

    if (grants->count++ == 0)
        grants->next_deadline = INT64_MAX;
    grants->touched_count += grant->touched != 0;
    *added = *grant;
    set_deadline(grants, added, grant->deadline);
    return added;
}

struct grant *helper_grants_add(struct grants *grants, const struct grant *new)
{
    struct grant grant = *new;

    grant.id = ++grants->table->last_id;
    grant.deadline_before = 0;
    grant.touched = 1;
    return put_last(grants, &grant);
}

void helper_grants_extend(struct grants *grants, struct grant *grant, int64_t deadline)
{
    if (!grant->touched) {
        grant->deadline_before = grant->deadline;
        grant->touched = 1;
        grants->touched_count++;
        grant_seal(grant);
    }
    if (deadline > grant->deadline)
        set_deadline(grants, grant, deadline);
}

/* The last grant is in the file all the time: it is whole in its new place before its old place
 * is written over. */
void helper_grants_remove_at(struct grants *grants, size_t i)
{
    struct grant *last = &grants->items[grants->count - 1];
    struct grant removed = grants->items[i];

    memset(removed.seal, 0, SEAL_SIZE);
    grants->touched_count -= removed.touched != 0;
    if (grants->gone_count < GRANTS_GONE)
        grants->gone[grants->gone_count++] = (struct door){removed.address, removed.service};
    else
        grants->gone_lost[address_family(&removed.address)] = true;
    grants->items[i] = *last;
    atomic_thread_fence(memory_order_seq_cst);
    *last = removed;
    atomic_thread_fence(memory_order_seq_cst);
    grants->count--;
}

void helper_grants_clear(struct grants *grants)
{
    while (grants->count > 0)
        helper_grants_remove_at(grants, grants->count - 1);
}

/* The walk goes from the table's end, where the newest grants are, down: whichever takes the place
 * of a removed one was seen already. */
void helper_grants_settle(struct grants *grants, enum family family, bool installed)
{
    for (size_t i = grants->count; i > 0 && grants->touched_count > 0; i--) {
        struct grant *grant = &grants->items[i - 1];

        if (!grant->touched || address_family(&grant->address) != family)
            continue;
        if (!installed && grant->deadline_before == 0) {
            helper_grants_remove_at(grants, i - 1);
            continue;
        }
        grant->touched = 0;
        grants->touched_count--;
        if (installed)
            grant_seal(grant);
        else
            set_deadline(grants, grant, grant->deadline_before);
    }
}

void helper_grants_forget_gone(struct grants *grants, enum family family)
{
    size_t kept = 0;

    for (size_t i = 0; i < grants->gone_count; i++)
        if (address_family(&grants->gone[i].address) != family)
            grants->gone[kept++] = grants->gone[i];
    grants->gone_count = kept;
    grants->gone_lost[family] = false;
}

size_t helper_grants_expire(struct grants *grants, int64_t now, bool changed[static FAMILIES])
{
    size_t before = grants->count;

    changed[0] = changed[1] = false;
    if (now < grants->next_deadline)
        return 0;
    grants->next_deadline = INT64_MAX;
    for (size_t i = grants->count; i > 0; i--) {
        const struct grant *grant = &grants->items[i - 1];

        if (grant->deadline <= now) {
            changed[address_family(&grant->address)] = true;
            helper_grants_remove_at(grants, i - 1);
        } else if (grant->deadline < grants->next_deadline) {
            grants->next_deadline = grant->deadline;
        }
    }
    return before - grants->count;
}

void helper_grants_shorten(struct grants *grants, struct grant *grant, int64_t deadline)
{
    if (deadline >= grant->deadline)
        return;
    if (deadline < grant->deadline_before)
        grant->deadline_before = deadline;
    set_deadline(grants, grant, deadline);
}

int64_t helper_grants_next_deadline(const struct grants *grants)
{
    return grants->count > 0 ? grants->next_deadline : INT64_MAX;
}

/* ---- the file ----------------------------------------------------------- */

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
    return grant->deadline > now && grant->deadline - now <= UINT32_MAX * (int64_t)NSEC_PER_SEC &&
           address_is_grantable(&grant->address) &&
           grant->signed_address <= GRANT_SIGNED_ELSEWHERE && s->port != 0 &&
           grant->used <= GRANT_FLOWS && grant->is_counted <= 1 &&
           (s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP);
}

/* Whether the table has the profile's grant of that door already. */
static bool holds(const struct grants *grants, const struct grant *wanted)
{
    const struct door door = {wanted->address, wanted->service};
    const struct grant *grant = NULL;

    while ((grant = helper_grants_next_of_door(grants, &door, grant)))
        if (memcmp(grant->key_id, wanted->key_id, KEY_ID_SIZE) == 0)
            return true;
    return false;
}

/* Takes over what the last helper granted in this boot; without a file of this boot, that was
 * nothing. The same grant is in two records if its helper was killed while it moved from one
 * to the other: it is taken over once. */
static void take_over(struct grants *grants, int run_dir, int64_t now)
{
    struct granttable_view before;
    struct error unused;
    struct grant grant;

    if (!granttable_open(&before, run_dir, &unused))
        return;
    grants->table->last_id = before.last_id;
    for (size_t i = 0; i < before.capacity && grants->count < grants->capacity; i++)
        if (granttable_read(&before, i, &grant) && is_sane(&grant, now) && !holds(grants, &grant))
            put_last(grants, &grant);
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

bool helper_grants_lost_file(const struct grants *grants)
{
    struct stat s;

    return fstat(grants->file, &s) != 0 || s.st_nlink == 0 ||
           s.st_size != (off_t)granttable_size(grants->capacity);
}
