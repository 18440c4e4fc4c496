#include "privsep/granttable.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "PSGRAN6";

size_t granttable_size(size_t capacity)
{
    return sizeof(struct granttable) + capacity * sizeof(struct grant);
}

bool granttable_begin(struct granttable *table, size_t capacity)
{
    memcpy(table->magic, magic, sizeof magic);
    table->capacity = (uint32_t)capacity;
    if (!boot_id_read(table->boot_id))
        return false;
    seal_make(table->seal, table, offsetof(struct granttable, seal));
    return true;
}

void grant_seal(struct grant *grant)
{
    seal_make(grant->seal, grant, offsetof(struct grant, seal));
    atomic_thread_fence(memory_order_seq_cst); /* before anything else is changed */
}

static bool is_ours(const struct granttable *table, off_t size)
{
    char boot_id[BOOT_ID_SIZE];

    return boot_id_read(boot_id) && memcmp(table->magic, magic, sizeof magic) == 0 &&
           memcmp(table->boot_id, boot_id, BOOT_ID_SIZE) == 0 &&
           seal_is_right(table->seal, table, offsetof(struct granttable, seal)) &&
           table->capacity <= MAX_GRANTS_MOST && (off_t)granttable_size(table->capacity) == size;
}

bool granttable_open(struct granttable_view *view, int directory, struct error *why)
{
    int fd = openat(directory, GRANTTABLE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct granttable head;
    struct stat s;

    if (fd < 0)
        return error_set(why, "%s: %s", GRANTTABLE_FILE, strerror(errno));
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) &&
        pread(fd, &head, sizeof head, 0) == sizeof head && is_ours(&head, s.st_size)) {
        *view = (struct granttable_view){fd, head.capacity, head.last_id};
        return true;
    }
    close(fd);
    return error_set(why, "%s: was not made by this build in this boot", GRANTTABLE_FILE);
}

bool granttable_read(const struct granttable_view *view, size_t i, struct grant *grant)
{
    enum { TRIES = 2 }; /* to change a record takes less than a microsecond */

    for (int tries = 0; tries < TRIES; tries++) {
        if (pread(view->file, grant, sizeof *grant, (off_t)granttable_size(i)) != sizeof *grant ||
            sodium_is_zero(grant->seal, SEAL_SIZE))
            return false;
        if (!seal_is_right(grant->seal, grant, offsetof(struct grant, seal)))
            continue;
        if (grant->touched) {
            grant->deadline = grant->deadline_before;
            grant->touched = 0;
        }
        return grant->deadline != 0;
    }
    return false;
}

void granttable_close(const struct granttable_view *view)
{
    close(view->file);
}
