#include "privsep/helper/grants.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

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

struct door helper_grants_door(const struct grant *grant)
{
    return (struct door){grant->address, grant->service, grant->destination,
                         grant->destination_port, grant->connections};
}

const struct grant *helper_grants_next_at(const struct grants *grants, const struct door *door,
                                          const struct grant *last)
{
    for (size_t i = last ? (size_t)(last - grants->items) + 1 : 0; i < grants->count; i++)
        if (address_equal(&grants->items[i].address, &door->address) &&
            service_compare(&grants->items[i].service, &door->service) == 0)
            return &grants->items[i];
    return NULL;
}

/* ---- changing ----------------------------------------------------------- */

static void note_change(struct grants *grants, const struct grant *grant,
                        enum grants_change change)
{
    enum grants_change *noted = &grants->changes[address_family(&grant->address)];

    if (*noted < change)
        *noted = change;
}

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

struct grant *helper_grants_put(struct grants *grants, const struct grant *grant)
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
    struct grant grant = *new, *added;

    grant.id = grants->table->last_id + 1;
    grant.deadline_before = 0;
    grant.touched = 1;
    added = helper_grants_put(grants, &grant);
    note_change(grants, added, GRANTS_ADDED);
    grants->table->last_id = grant.id; /* whoever reads it finds the grant */
    return added;
}

void helper_grants_extend(struct grants *grants, struct grant *grant, int64_t deadline)
{
    if (!grant->touched) {
        grant->deadline_before = grant->deadline;
        grant->touched = grant->was_extended = 1;
        grants->touched_count++;
        grant_seal(grant);
    }
    note_change(grants, grant, GRANTS_EXTENDED);
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
    note_change(grants, &removed,
                grants->gone_count < GRANTS_GONE ? GRANTS_REMOVED : GRANTS_FORGOTTEN);
    if (grants->gone_count < GRANTS_GONE)
        grants->gone[grants->gone_count++] = removed;
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

static void forget_changes(struct grants *grants, enum family family)
{
    size_t kept = 0;

    for (size_t i = 0; i < grants->gone_count; i++)
        if (address_family(&grants->gone[i].address) != family)
            grants->gone[kept++] = grants->gone[i];
    grants->gone_count = kept;
    grants->changes[family] = GRANTS_UNCHANGED;
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
    forget_changes(grants, family);
}

size_t helper_grants_expire(struct grants *grants, int64_t now)
{
    size_t before = grants->count;

    if (now < grants->next_deadline)
        return 0;
    grants->next_deadline = INT64_MAX;
    for (size_t i = grants->count; i > 0; i--) {
        const struct grant *grant = &grants->items[i - 1];

        if (grant->deadline <= now) {
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

void helper_grants_end(struct grants *grants, struct grant *grant, enum grant_end why)
{
    const int64_t last_second = grant->last_second;

    grant->end = (uint16_t)why;
    helper_grants_shorten(grants, grant, clock_boot_ns());
    if (!grant->touched)
        grant->last_second = last_second;
    grant_seal(grant);
}

int64_t helper_grants_next_deadline(const struct grants *grants)
{
    return grants->count > 0 ? grants->next_deadline : INT64_MAX;
}

/* ---- the file ----------------------------------------------------------- */

bool helper_grants_map(struct grants *grants, int fd, size_t capacity, struct error *why)
{
    void *map = mmap(NULL, granttable_size(capacity), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        return error_set(why, "cannot map the table of grants: %s", strerror(errno));
    grants->file = fd;
    grants->capacity = capacity;
    grants->next_deadline = 1; /* long ago: whoever looks what has ended finds the next */
    grants->table = map;
    grants->items = grants->table->grants;
    while (grants->count < capacity &&
           !sodium_is_zero(grants->items[grants->count].seal, SEAL_SIZE))
        grants->count++;
    return true;
}

bool helper_grants_lost_file(const struct grants *grants)
{
    struct stat s;

    return fstat(grants->file, &s) != 0 || s.st_nlink == 0 ||
           s.st_size != (off_t)granttable_size(grants->capacity);
}
