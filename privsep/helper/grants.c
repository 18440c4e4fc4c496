#include "privsep/helper/grants.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"

enum { CHECKSUM_SIZE = 16 }; /* BLAKE2b-128 */

/* At the beginning of the file, with the checksum of what is before it. */
struct header {
    char magic[8];
    char boot_id[BOOT_ID_SIZE];
    uint32_t last_id; /* of all grants of this boot */
    uint8_t checksum[CHECKSUM_SIZE];
};
_Static_assert(sizeof(struct header) == 64, "no hidden padding");

/* One that holds no grant is all zeros, and so has no right checksum. */
struct slot {
    struct grant grant;
    uint8_t checksum[CHECKSUM_SIZE];
};
_Static_assert(sizeof(struct slot) == 152, "no hidden padding");

static const char magic[8] = "PSGRAN5";

static bool create_chains(struct chains *chains, size_t capacity)
{
    size_t count = 2;

    while (count < capacity)
        count *= 2;
    chains->mask = count - 1;
    chains->first = calloc(count, sizeof *chains->first);
    chains->next = calloc(capacity, sizeof *chains->next);
    return chains->first && chains->next;
}

static void free_chains(struct chains *chains)
{
    free(chains->first);
    free(chains->next);
}

bool helper_grants_create(struct grants *grants, int run_dir, size_t capacity, struct error *why)
{
    *grants = (struct grants){.run_dir = run_dir, .file = -1, .capacity = capacity,
                              .next_deadline = INT64_MAX};
    if (!boot_id_read(grants->boot_id))
        return error_set(why, "cannot read the kernel's boot id: %s", strerror(errno));
    grants->items = calloc(capacity, sizeof *grants->items);
    grants->gone = calloc(capacity, sizeof *grants->gone);
    grants->stale = calloc(capacity, sizeof *grants->stale);
    return (grants->items && grants->gone && grants->stale &&
            create_chains(&grants->profiles, capacity) && create_chains(&grants->doors, capacity)) ||
           error_set(why, "no memory for %zu grants", capacity);
}

void helper_grants_free(struct grants *grants)
{
    if (grants->file >= 0)
        close(grants->file);
    free(grants->items);
    free(grants->gone);
    free(grants->stale);
    free_chains(&grants->profiles);
    free_chains(&grants->doors);
    *grants = (struct grants){.run_dir = -1, .file = -1};
}

/* ---- finding ------------------------------------------------------------ */

static uint32_t *profile_chain(const struct grants *grants, const uint8_t *key_id)
{
    uint32_t id;

    memcpy(&id, key_id, sizeof id); /* as good as random: it is a hash */
    return &grants->profiles.first[id & grants->profiles.mask];
}

/* FNV-1a. Whoever chooses his address, and so his chain, was let in; the longest chain is
 * as long as the table. */
static uint32_t *door_chain(const struct grants *grants, const struct address *address,
                            const struct service *service)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < sizeof address->bytes; i++)
        hash = (hash ^ address->bytes[i]) * 16777619u;
    hash = (hash ^ service->protocol) * 16777619u;
    hash = (hash ^ (service->port & 0xff)) * 16777619u;
    hash = (hash ^ (service->port >> 8)) * 16777619u;
    return &grants->doors.first[(hash ^ hash >> 16) & grants->doors.mask];
}

static void put_first(const struct chains *chains, uint32_t *first, size_t i)
{
    chains->next[i] = *first;
    *first = (uint32_t)i + 1;
}

static void take_out(const struct chains *chains, uint32_t *link, size_t i)
{
    while (*link != i + 1)
        link = &chains->next[*link - 1];
    *link = chains->next[i];
}

static void link_at(struct grants *grants, size_t i)
{
    const struct grant *grant = &grants->items[i];

    put_first(&grants->profiles, profile_chain(grants, grant->key_id), i);
    put_first(&grants->doors, door_chain(grants, &grant->address, &grant->service), i);
}

static void unlink_at(struct grants *grants, size_t i)
{
    const struct grant *grant = &grants->items[i];

    take_out(&grants->profiles, profile_chain(grants, grant->key_id), i);
    take_out(&grants->doors, door_chain(grants, &grant->address, &grant->service), i);
}

/* The next of the profile, from the one with that place in a chain on. */
static struct grant *next_of(const struct grants *grants, uint32_t place, const uint8_t *key_id)
{
    for (; place != 0; place = grants->profiles.next[place - 1])
        if (memcmp(grants->items[place - 1].key_id, key_id, KEY_ID_SIZE) == 0)
            return &grants->items[place - 1];
    return NULL;
}

const struct grant *helper_grants_next_of(const struct grants *grants,
                                          const uint8_t key_id[static KEY_ID_SIZE],
                                          const struct grant *last)
{
    return next_of(grants, last ? grants->profiles.next[last - grants->items]
                                : *profile_chain(grants, key_id), key_id);
}

static struct grant *after(const struct grants *grants, const struct grant *grant)
{
    return next_of(grants, grants->profiles.next[grant - grants->items], grant->key_id);
}

size_t helper_grants_of(const struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE])
{
    const struct grant *grant = next_of(grants, *profile_chain(grants, key_id), key_id);
    size_t count = 0;

    for (; grant; grant = after(grants, grant))
        count++;
    return count;
}

static bool opens(const struct grant *grant, const struct address *address,
                  const struct service *service)
{
    return address_equal(&grant->address, address) &&
           service_compare(&grant->service, service) == 0;
}

struct grant *helper_grants_find(struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE],
                                 const struct address *address, const struct service *service)
{
    struct grant *grant = next_of(grants, *profile_chain(grants, key_id), key_id);

    while (grant && !opens(grant, address, service))
        grant = after(grants, grant);
    return grant;
}

const struct grant *helper_grants_next_of_door(const struct grants *grants,
                                               const struct door *door, const struct grant *last)
{
    uint32_t place = last ? grants->doors.next[last - grants->items]
                          : *door_chain(grants, &door->address, &door->service);

    for (; place != 0; place = grants->doors.next[place - 1])
        if (opens(&grants->items[place - 1], &door->address, &door->service))
            return &grants->items[place - 1];
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

void helper_grants_note_change(struct grants *grants, const struct grant *grant)
{
    grants->stale[grant - grants->items] = 1;
}

/* The kernel counts whole seconds, the last one included: rounding down and
 * taking one off never leaves a door open past its deadline. */
static void set_deadline(struct grants *grants, struct grant *grant, int64_t deadline)
{
    int64_t wall = clock_wall_ns() + (deadline - clock_boot_ns());

    grant->deadline = deadline;
    grant->last_second = wall / NSEC_PER_SEC - 1;
    if (deadline < grants->next_deadline)
        grants->next_deadline = deadline;
    helper_grants_note_change(grants, grant);
}

void helper_grants_follow_clock(struct grants *grants)
{
    for (size_t i = 0; i < grants->count; i++)
        set_deadline(grants, &grants->items[i], grants->items[i].deadline);
}

static void touch(struct grants *grants, struct grant *grant, int64_t before)
{
    if (grant->touched)
        return;
    grant->deadline_before = before;
    grant->touched = 1;
    grants->touched_count++;
}

/* Behind the others, with the id that it has. */
static struct grant *append(struct grants *grants, const struct grant *grant)
{
    struct grant *added = &grants->items[grants->count];

    if (grants->count++ == 0)
        grants->next_deadline = INT64_MAX;
    *added = *grant;
    link_at(grants, grants->count - 1);
    set_deadline(grants, added, grant->deadline);
    return added;
}

struct grant *helper_grants_add(struct grants *grants, const struct grant *new)
{
    struct grant *added = append(grants, new);

    added->id = ++grants->last_id;
    touch(grants, added, 0);
    return added;
}

void helper_grants_extend(struct grants *grants, struct grant *grant, int64_t deadline)
{
    touch(grants, grant, grant->deadline);
    if (deadline > grant->deadline)
        set_deadline(grants, grant, deadline);
}

enum grant_change helper_grants_open(struct grants *grants,
                                     const uint8_t key_id[static KEY_ID_SIZE],
                                     const struct address *address, const struct service *service,
                                     int64_t deadline)
{
    struct grant *grant = helper_grants_find(grants, key_id, address, service);
    struct grant new = {.address = *address, .service.protocol = service->protocol,
                        .service.port = service->port, .deadline = deadline};

    if (grant) {
        helper_grants_extend(grants, grant, deadline);
        return GRANT_EXTENDED;
    }
    if (grants->count == grants->capacity)
        return GRANT_REFUSED;
    memcpy(new.key_id, key_id, KEY_ID_SIZE);
    helper_grants_add(grants, &new);
    return GRANT_ADDED;
}

void helper_grants_remove_at(struct grants *grants, size_t i)
{
    const size_t last = grants->count - 1;
    struct grant removed = grants->items[i];

    grants->touched_count -= removed.touched != 0;
    if (grants->gone_count < grants->capacity)
        grants->gone[grants->gone_count++] = (struct door){removed.address, removed.service};
    else
        grants->gone_lost[!address_is_ipv4(&removed.address)] = true;
    unlink_at(grants, i);
    if (i != last) {
        unlink_at(grants, last);
        grants->items[i] = grants->items[last];
        link_at(grants, i);
    }
    grants->items[last] = removed;
    grants->stale[i] = grants->stale[last] = 1;
    grants->count--;
}

bool helper_grants_remove(struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE],
                          const struct address *address, const struct service *service)
{
    struct grant *grant = helper_grants_find(grants, key_id, address, service);

    if (grant)
        helper_grants_remove_at(grants, (size_t)(grant - grants->items));
    return grant != NULL;
}

void helper_grants_clear(struct grants *grants)
{
    while (grants->count > 0)
        helper_grants_remove_at(grants, grants->count - 1);
}

/* From the end, where the newest are: what takes a removed one's place was seen. */
void helper_grants_settle(struct grants *grants, bool ipv6, bool installed)
{
    for (size_t i = grants->count; i > 0 && grants->touched_count > 0; i--) {
        struct grant *grant = &grants->items[i - 1];

        if (!grant->touched || address_is_ipv4(&grant->address) == ipv6)
            continue;
        if (!installed && grant->deadline_before == 0) {
            helper_grants_remove_at(grants, i - 1);
            continue;
        }
        grant->touched = 0;
        grants->touched_count--;
        if (!installed)
            set_deadline(grants, grant, grant->deadline_before);
    }
}

void helper_grants_forget_gone(struct grants *grants, bool ipv6)
{
    size_t kept = 0;

    for (size_t i = 0; i < grants->gone_count; i++)
        if (address_is_ipv4(&grants->gone[i].address) == ipv6)
            grants->gone[kept++] = grants->gone[i];
    grants->gone_count = kept;
    grants->gone_lost[ipv6] = false;
}

size_t helper_grants_expire(struct grants *grants, int64_t now, bool changed[static 2])
{
    size_t before = grants->count;

    changed[0] = changed[1] = false;
    if (now < grants->next_deadline)
        return 0;
    grants->next_deadline = INT64_MAX;
    for (size_t i = grants->count; i > 0; i--) {
        const struct grant *grant = &grants->items[i - 1];

        if (grant->deadline <= now) {
            changed[!address_is_ipv4(&grant->address)] = true;
            helper_grants_remove_at(grants, i - 1);
        } else if (grant->deadline < grants->next_deadline) {
            grants->next_deadline = grant->deadline;
        }
    }
    return before - grants->count;
}

void helper_grants_shorten(struct grants *grants, struct grant *grant, int64_t deadline)
{
    if (deadline < grant->deadline)
        set_deadline(grants, grant, deadline);
}

int64_t helper_grants_next_deadline(const struct grants *grants)
{
    return grants->count > 0 ? grants->next_deadline : INT64_MAX;
}

/* ---- reading the file --------------------------------------------------- */

static void make_checksum(uint8_t checksum[static CHECKSUM_SIZE], const void *bytes, size_t size)
{
    crypto_generichash(checksum, CHECKSUM_SIZE, bytes, size, NULL, 0);
}

static bool is_whole(const uint8_t *bytes, size_t size)
{
    uint8_t checksum[CHECKSUM_SIZE];

    make_checksum(checksum, bytes, size);
    return memcmp(checksum, bytes + size, CHECKSUM_SIZE) == 0;
}

/* The file's bytes and their number, or NULL; the caller frees them. */
static uint8_t *read_file(int run_dir, size_t *size)
{
    int fd = openat(run_dir, "grants", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint8_t *bytes = NULL;
    struct stat s;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size >= (off_t)sizeof(struct header) &&
        (bytes = malloc((size_t)s.st_size))) {
        *size = (size_t)s.st_size;
        if (read(fd, bytes, *size) != s.st_size) {
            free(bytes);
            bytes = NULL;
        }
    }
    close(fd);
    return bytes;
}

static bool is_ours(const struct grants *grants, const uint8_t *bytes)
{
    struct header header;

    memcpy(&header, bytes, sizeof header);
    return memcmp(header.magic, magic, sizeof magic) == 0 &&
           memcmp(header.boot_id, grants->boot_id, BOOT_ID_SIZE) == 0 &&
           is_whole(bytes, offsetof(struct header, checksum));
}

static bool is_sane_destination(const struct grant *grant)
{
    return grant->destination_port == 0 ||
           (address_is_grantable(&grant->destination) &&
            address_is_ipv4(&grant->destination) == address_is_ipv4(&grant->address));
}

/* Whether the helper could have granted it: what is taken over becomes a rule. No
 * profile has a window that does not fit into 32 bits. */
static bool is_sane(const struct grant *grant, int64_t now)
{
    const struct service *s = &grant->service;

    return grant->deadline > now && grant->deadline - now <= UINT32_MAX * (int64_t)NSEC_PER_SEC &&
           address_is_grantable(&grant->address) &&
           grant->signed_address <= GRANT_SIGNED_ELSEWHERE && s->port != 0 &&
           grant->used <= GRANT_FLOWS && grant->watched <= 1 && is_sane_destination(grant) &&
           (s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP);
}

/* The same grant is in two slots if its helper was killed while it moved from one to the
 * other. */
static void take_over(struct grants *grants, struct grant *grant)
{
    if (helper_grants_find(grants, grant->key_id, &grant->address, &grant->service))
        return;
    grant->touched = 0;
    append(grants, grant);
}

void helper_grants_load(struct grants *grants, int64_t now)
{
    size_t size = 0, at = sizeof(struct header);
    uint8_t *bytes = read_file(grants->run_dir, &size);
    struct header header;
    struct slot slot;

    if (bytes && is_ours(grants, bytes)) {
        memcpy(&header, bytes, sizeof header);
        grants->last_id = header.last_id;
        for (; at + sizeof slot <= size && grants->count < grants->capacity; at += sizeof slot) {
            memcpy(&slot, bytes + at, sizeof slot);
            if (is_whole(bytes + at, offsetof(struct slot, checksum)) && is_sane(&slot.grant, now))
                take_over(grants, &slot.grant);
        }
    }
    free(bytes);
}

/* ---- writing it --------------------------------------------------------- */

static void make_header(const struct grants *grants, struct header *header)
{
    *header = (struct header){.last_id = grants->last_id};
    memcpy(header->magic, magic, sizeof magic);
    memcpy(header->boot_id, grants->boot_id, BOOT_ID_SIZE);
    make_checksum(header->checksum, header, offsetof(struct header, checksum));
}

static void make_slot(const struct grants *grants, size_t i, struct slot *slot)
{
    memset(slot, 0, sizeof *slot);
    if (i >= grants->count)
        return;
    slot->grant = grants->items[i];
    make_checksum(slot->checksum, slot, offsetof(struct slot, checksum));
}

static bool write_anew(struct grants *grants, struct error *why)
{
    size_t size = sizeof(struct header) + grants->count * sizeof(struct slot);
    uint8_t *bytes = malloc(size);
    struct header header;
    struct slot slot;
    bool written;

    if (!bytes)
        return error_set(why, "no memory to store the grants");
    make_header(grants, &header);
    memcpy(bytes, &header, sizeof header);
    for (size_t i = 0; i < grants->count; i++) {
        make_slot(grants, i, &slot);
        memcpy(bytes + sizeof header + i * sizeof slot, &slot, sizeof slot);
    }
    written = file_replace(grants->run_dir, "grants", 0600, bytes, size, why);
    free(bytes);
    if (!written)
        return false;
    grants->slots = grants->count;
    grants->file = openat(grants->run_dir, "grants", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return grants->file >= 0 || error_set(why, "grants: %s", strerror(errno));
}

static bool write_slot(struct grants *grants, size_t i)
{
    const off_t at = (off_t)(sizeof(struct header) + i * sizeof(struct slot));
    struct slot slot;

    make_slot(grants, i, &slot);
    return pwrite(grants->file, &slot, sizeof slot, at) == sizeof slot;
}

/* From the first slot up: a grant only ever moves down, so that it is never in none. */
static bool write_changes(struct grants *grants, struct error *why)
{
    struct header header;
    bool done;

    make_header(grants, &header);
    done = pwrite(grants->file, &header, sizeof header, 0) == sizeof header;
    for (size_t i = 0; done && (i < grants->count || i < grants->slots); i++) {
        if (!grants->stale[i])
            continue;
        done = write_slot(grants, i);
        if (done && i >= grants->slots)
            grants->slots = i + 1;
    }
    return done || error_set(why, "grants: %s", strerror(errno));
}

/* Nor was it removed or replaced by somebody. */
static bool has_file(const struct grants *grants)
{
    struct stat s;

    return grants->file >= 0 && fstat(grants->file, &s) == 0 && s.st_nlink > 0;
}

static void give_up_file(struct grants *grants)
{
    if (grants->file >= 0)
        close(grants->file);
    grants->file = -1;
}

bool helper_grants_save(struct grants *grants, struct error *why)
{
    bool saved;

    if (!has_file(grants)) {
        give_up_file(grants);
        saved = write_anew(grants, why);
    } else {
        saved = write_changes(grants, why);
    }
    if (saved) {
        memset(grants->stale, 0, grants->capacity);
        return true;
    }
    give_up_file(grants);
    unlinkat(grants->run_dir, "grants", 0);
    return false;
}

void helper_grants_store(struct grants *grants)
{
    static struct log_limit said;
    struct error why;

    if (!helper_grants_save(grants, &why))
        log_warnx_limited(&said, LINES_A_MINUTE,
                          "live grants will not outlive a restart: cannot store them: %s",
                          why.text);
}
