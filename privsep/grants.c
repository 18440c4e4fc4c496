#include "grants.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "log.h"

enum { CHECKSUM_SIZE = 16 };

/* The file: this header, the grants, a BLAKE2b-128 of all that. */
struct header {
    char magic[8];
    char boot_id[BOOT_ID_SIZE];
    uint32_t count;
    uint32_t last_id; /* of all grants of this boot */
};
_Static_assert(sizeof(struct header) == 52, "no hidden padding");

static const char magic[8] = "PSGRAN3";

static bool read_boot_id(char id[static BOOT_ID_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, id, BOOT_ID_SIZE);
    close(fd);
    return n == BOOT_ID_SIZE;
}

bool helper_grants_create(struct grants *grants, int run_dir, size_t capacity, struct error *why)
{
    *grants = (struct grants){.run_dir = run_dir, .capacity = capacity};
    if (!read_boot_id(grants->boot_id))
        return error_set(why, "cannot read the kernel's boot id: %s", strerror(errno));
    grants->items = calloc(capacity, sizeof *grants->items);
    grants->gone = calloc(capacity, sizeof *grants->gone);
    return (grants->items && grants->gone) || error_set(why, "no memory for %zu grants", capacity);
}

/* The kernel counts whole seconds, the last one included: rounding down and
 * taking one off never leaves a door open past its deadline. */
static void set_deadline(struct grant *grant, int64_t deadline)
{
    int64_t wall = clock_wall_ns() + (deadline - clock_boot_ns());

    grant->deadline = deadline;
    grant->last_second = wall / NSEC_PER_SEC - 1;
}

void helper_grants_follow_clock(struct grants *grants)
{
    for (size_t i = 0; i < grants->count; i++)
        set_deadline(&grants->items[i], grants->items[i].deadline);
}

static size_t file_size(size_t count)
{
    return sizeof(struct header) + count * sizeof(struct grant) + CHECKSUM_SIZE;
}

/* The file's bytes and their number, or NULL; the caller frees them. */
static uint8_t *read_file(int run_dir, size_t *size)
{
    int fd = openat(run_dir, "grants", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint8_t *bytes = NULL;
    struct stat s;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size >= (off_t)file_size(0) &&
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

static bool file_is_whole(const struct grants *grants, const uint8_t *bytes, size_t size)
{
    uint8_t checksum[CHECKSUM_SIZE];
    struct header header;

    memcpy(&header, bytes, sizeof header);
    crypto_generichash(checksum, sizeof checksum, bytes, size - CHECKSUM_SIZE, NULL, 0);
    return memcmp(header.magic, magic, sizeof magic) == 0 &&
           memcmp(header.boot_id, grants->boot_id, BOOT_ID_SIZE) == 0 &&
           size == file_size(header.count) &&
           memcmp(checksum, bytes + size - CHECKSUM_SIZE, CHECKSUM_SIZE) == 0;
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
           address_is_grantable(&grant->address) && grant->signed_address <= 1 && s->port != 0 &&
           grant->flow_count <= GRANT_FLOWS && is_sane_destination(grant) &&
           (s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP);
}

void helper_grants_load(struct grants *grants, int64_t now)
{
    size_t size = 0;
    uint8_t *bytes = read_file(grants->run_dir, &size);

    if (!bytes)
        return;
    if (file_is_whole(grants, bytes, size)) {
        memcpy(&grants->last_id, bytes + offsetof(struct header, last_id), sizeof grants->last_id);
        for (size_t at = sizeof(struct header);
             at + CHECKSUM_SIZE < size && grants->count < grants->capacity;
             at += sizeof(struct grant)) {
            struct grant *grant = &grants->items[grants->count];

            memcpy(grant, bytes + at, sizeof *grant);
            grant->touched = 0;
            if (grant->watched == WATCH_BEGINS) /* whoever listened has gone */
                grant->watched = UNWATCHED;
            if (is_sane(grant, now))
                grants->count++;
        }
    }
    free(bytes);
    helper_grants_follow_clock(grants);
}

bool helper_grants_save(const struct grants *grants, struct error *why)
{
    struct header header = {.count = (uint32_t)grants->count, .last_id = grants->last_id};
    size_t size = file_size(grants->count), table = grants->count * sizeof(struct grant);
    uint8_t *bytes = malloc(size);
    bool saved;

    if (!bytes)
        return error_set(why, "no memory to store the grants");
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.boot_id, grants->boot_id, BOOT_ID_SIZE);
    memcpy(bytes, &header, sizeof header);
    if (table)
        memcpy(bytes + sizeof header, grants->items, table);
    crypto_generichash(bytes + size - CHECKSUM_SIZE, CHECKSUM_SIZE, bytes, size - CHECKSUM_SIZE,
                       NULL, 0);
    saved = file_replace(grants->run_dir, "grants", 0600, bytes, size, why);
    if (!saved)
        unlinkat(grants->run_dir, "grants", 0);
    free(bytes);
    return saved;
}

void helper_grants_store(const struct grants *grants)
{
    struct error why;

    if (!helper_grants_save(grants, &why))
        log_warnx("live grants will not outlive a restart: cannot store them: %s", why.text);
}

struct grant *helper_grants_find(struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE],
                                 const struct address *address, const struct service *service)
{
    for (size_t i = 0; i < grants->count; i++) {
        struct grant *grant = &grants->items[i];

        if (memcmp(grant->key_id, key_id, KEY_ID_SIZE) == 0 &&
            address_equal(&grant->address, address) &&
            service_compare(&grant->service, service) == 0)
            return grant;
    }
    return NULL;
}

static void touch(struct grant *grant, int64_t before)
{
    if (!grant->touched)
        grant->deadline_before = before;
    grant->touched = 1;
}

enum grant_change helper_grants_open(struct grants *grants,
                                     const uint8_t key_id[static KEY_ID_SIZE],
                                     const struct address *address, const struct service *service,
                                     int64_t deadline)
{
    struct grant *grant = helper_grants_find(grants, key_id, address, service);

    if (grant) {
        touch(grant, grant->deadline);
        if (deadline > grant->deadline)
            set_deadline(grant, deadline);
        return GRANT_EXTENDED;
    }
    if (grants->count == grants->capacity)
        return GRANT_REFUSED;
    grant = &grants->items[grants->count++];
    *grant = (struct grant){.address = *address, .service.protocol = service->protocol,
                            .service.port = service->port, .id = ++grants->last_id};
    set_deadline(grant, deadline);
    memcpy(grant->key_id, key_id, KEY_ID_SIZE);
    touch(grant, 0);
    return GRANT_ADDED;
}

static void remove_at(struct grants *grants, size_t i)
{
    struct grant removed = grants->items[i];

    if (grants->gone_count < grants->capacity)
        grants->gone[grants->gone_count++] = (struct door){removed.address, removed.service};
    else
        grants->gone_lost[!address_is_ipv4(&removed.address)] = true;
    grants->items[i] = grants->items[--grants->count];
    grants->items[grants->count] = removed;
}

bool helper_grants_remove(struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE],
                          const struct address *address, const struct service *service)
{
    struct grant *grant = helper_grants_find(grants, key_id, address, service);

    if (grant)
        remove_at(grants, (size_t)(grant - grants->items));
    return grant != NULL;
}

void helper_grants_settle(struct grants *grants, bool ipv6, bool installed)
{
    for (size_t i = 0; i < grants->count;) {
        struct grant *grant = &grants->items[i];

        if (!grant->touched || address_is_ipv4(&grant->address) == ipv6) {
            i++;
            continue;
        }
        grant->touched = 0;
        if (!installed && grant->deadline_before == 0) {
            remove_at(grants, i);
            continue;
        }
        if (!installed)
            set_deadline(grant, grant->deadline_before);
        i++;
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
    for (size_t i = 0; i < grants->count;) {
        if (grants->items[i].deadline > now) {
            i++;
            continue;
        }
        changed[!address_is_ipv4(&grants->items[i].address)] = true;
        remove_at(grants, i);
    }
    return before - grants->count;
}

void helper_grants_shorten(struct grant *grant, int64_t deadline)
{
    if (deadline < grant->deadline)
        set_deadline(grant, deadline);
}

int64_t helper_grants_next_deadline(const struct grants *grants)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < grants->count; i++)
        if (grants->items[i].deadline < next)
            next = grants->items[i].deadline;
    return next;
}

size_t helper_grants_of(const struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE])
{
    size_t count = 0;

    for (size_t i = 0; i < grants->count; i++)
        count += memcmp(grants->items[i].key_id, key_id, KEY_ID_SIZE) == 0;
    return count;
}
