#include "privsep/grantfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "PSGRAN8";

bool granttable_begin(struct granttable *table, size_t capacity)
{
    memcpy(table->magic, magic, sizeof magic);
    table->capacity = (uint32_t)capacity;
    if (!boot_id_read(table->boot_id))
        return false;
    seal_make(table->seal, table, offsetof(struct granttable, seal));
    return true;
}

static bool is_ours(const struct granttable *table, off_t size)
{
    char boot_id[BOOT_ID_SIZE];

    return boot_id_read(boot_id) && memcmp(table->magic, magic, sizeof magic) == 0 &&
           memcmp(table->boot_id, boot_id, BOOT_ID_SIZE) == 0 &&
           seal_is_right(table->seal, table, offsetof(struct granttable, seal)) &&
           table->capacity <= MAX_GRANTS_MOST && (off_t)granttable_size(table->capacity) == size;
}

bool granttable_view(struct granttable_view *view, int fd, struct error *why)
{
    struct granttable head;
    struct stat s;

    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) ||
        pread(fd, &head, sizeof head, 0) != sizeof head || !is_ours(&head, s.st_size))
        return error_set(why, "%s: was not made by this build in this boot", GRANTTABLE_FILE);
    *view = (struct granttable_view){fd, head.capacity, head.last_id, head.last_id_before,
                                     head.begun};
    return true;
}

bool granttable_open(struct granttable_view *view, int directory, struct error *why)
{
    int fd = openat(directory, GRANTTABLE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return error_set(why, "%s: %s", GRANTTABLE_FILE, strerror(errno));
    if (granttable_view(view, fd, why))
        return true;
    close(fd);
    return false;
}

uint32_t granttable_last_id(const struct granttable_view *view)
{
    uint32_t id;

    return pread(view->file, &id, sizeof id, offsetof(struct granttable, last_id)) ==
                   (ssize_t)sizeof id
               ? id : view->last_id;
}

void granttable_restores(const struct granttable_view *view,
                         uint32_t restores[static GRANTTABLE_RESTORES])
{
    const size_t size = GRANTTABLE_RESTORES * sizeof *restores;

    if (pread(view->file, restores, size, offsetof(struct granttable, restores)) != (ssize_t)size)
        memset(restores, 0, size);
}

bool granttable_read_pending(const struct granttable_view *view, size_t i, struct grant *grant)
{
    enum { TRIES = 2 }; /* to change a record takes less than a microsecond */

    for (int tries = 0; tries < TRIES; tries++) {
        if (pread(view->file, grant, sizeof *grant, (off_t)granttable_size(i)) != sizeof *grant ||
            sodium_is_zero(grant->seal, SEAL_SIZE))
            return false;
        if (seal_is_right(grant->seal, grant, offsetof(struct grant, seal)))
            return true;
    }
    return false;
}

bool granttable_read(const struct granttable_view *view, size_t i, struct grant *grant)
{
    if (!granttable_read_pending(view, i, grant))
        return false;
    if (grant->touched) {
        grant->deadline = grant->deadline_before;
        grant->touched = 0;
    }
    return grant->deadline != 0;
}

void granttable_close(const struct granttable_view *view)
{
    close(view->file);
}
