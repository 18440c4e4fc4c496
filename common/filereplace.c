#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

bool file_replace(int dir, const char *name, mode_t mode, const void *content, size_t size,
                  struct error *why)
{
    char temporary[NAME_MAX + 1];
    int fd;
    bool written;

    snprintf(temporary, sizeof temporary, ".%s.new", name);
    unlinkat(dir, temporary, 0);
    fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return error_set(why, "%s: %s", name, strerror(errno));
    written = file_write_all(fd, content, size);
    close(fd);
    if (!written || renameat(dir, temporary, dir, name) != 0) {
        error_set(why, "%s: %s", name, strerror(errno));
        unlinkat(dir, temporary, 0);
        return false;
    }
    return true;
}
