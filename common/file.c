#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_open(const char *path, enum file_trust trust, struct error *why)
{
    /* O_NONBLOCK: a fifo that was put in the file's place must not keep us waiting. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        error_set(why, "%s: %s", path, file_explain(errno));
        return -1;
    }
    if (!file_check(fd, path, trust, why)) {
        close(fd);
        errno = EACCES;
        return -1;
    }
    return fd;
}

bool file_is_trusted(const char *path, enum file_trust trust, struct error *why)
{
    int fd = file_open(path, trust, why);

    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static ssize_t read_up_to(int fd, void *buffer, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, (char *)buffer + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

ssize_t file_read(const char *path, enum file_trust trust, void *buffer, size_t size,
                  struct error *why)
{
    int fd = file_open(path, trust, why);
    ssize_t n;
    char more;

    if (fd < 0)
        return -1;
    n = read_up_to(fd, buffer, size);
    if (n < 0) {
        error_set(why, "%s: %s", path, strerror(errno));
    } else if ((size_t)n == size && read_up_to(fd, &more, 1) != 0) {
        error_set(why, "%s: holds more than %zu bytes", path, size);
        n = -1;
        errno = EFBIG;
    }
    close(fd);
    return n;
}

const char *file_text(const char *bytes)
{
    return strncmp(bytes, "\xef\xbb\xbf", 3) == 0 ? bytes + 3 : bytes;
}

bool file_write_all(int fd, const void *content, size_t size)
{
    const char *at = content;

    while (size > 0) {
        ssize_t n = write(fd, at, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static const char *explain_making(int error)
{
    return error == EACCES ? "Permission denied; run this as the user whose directory that is"
                           : strerror(error);
}

bool file_create(const char *path, mode_t mode, const void *content, size_t size, struct error *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0)
        return error_set(why, "%s: %s", path, explain_making(errno));
    if (fchmod(fd, mode) != 0 || !file_write_all(fd, content, size) || fsync(fd) != 0 ||
        !file_sync_directory_of(path)) { /* a new file is durable once its name is */
        error_set(why, "%s: %s", path, strerror(errno));
        unlink(path);
        close(fd);
        return false;
    }
    close(fd);
    return true;
}

bool file_put(const char *path, mode_t mode, const void *content, size_t size, struct error *why)
{
    char next[PATH_MAX];

    if (snprintf(next, sizeof next, "%s.new", path) >= PATH_MAX)
        return error_set(why, "%s: %s", path, strerror(ENAMETOOLONG));
    unlink(next);
    if (!file_create(next, mode, content, size, why))
        return false;
    if (renameat(AT_FDCWD, next, AT_FDCWD, path) == 0 && file_sync_directory_of(path))
        return true;
    error_set(why, "%s: %s", path, strerror(errno));
    unlink(next);
    return false;
}

bool file_remove(const char *path, struct error *why)
{
    if (unlink(path) == 0)
        return file_sync_directory_of(path) || error_set(why, "%s: %s", path, strerror(errno));
    return errno == ENOENT || error_set(why, "%s: %s", path, strerror(errno));
}

bool file_make_directory(const char *path, mode_t mode, struct error *why)
{
    char partial[PATH_MAX];
    size_t size = strlen(path);

    if (size == 0 || size >= sizeof partial)
        return error_set(why, "'%s' is not a usable directory name", path);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, mode) != 0 && errno != EEXIST)
            return error_set(why, "%s: %s", partial, explain_making(errno));
    }
    return true;
}
