#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_check(int fd, const char *path, enum file_trust trust, struct error *why)
{
    mode_t loose = trust == FILE_SECRET ? 077 : 022;
    struct stat s;

    if (fstat(fd, &s) != 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode))
        return error_set(why, "%s: not a regular file", path);
    if (s.st_uid != geteuid() && s.st_uid != 0)
        return error_set(why, "%s: belongs to user %u, but must belong to you or root; chown it",
                         path, s.st_uid);
    if (s.st_mode & loose)
        return error_set(why, "%s: mode %04o is too open; run: chmod %s %s", path,
                         s.st_mode & 07777u, trust == FILE_SECRET ? "600" : "go-w", path);
    return true;
}

static const char *explain_open(int error)
{
    switch (error) {
    case ELOOP:
        return "is a symbolic link, which is not followed here";
    case EACCES:
        return "Permission denied; make it, and the directories above, accessible to you";
    default:
        return strerror(error);
    }
}

int file_open(const char *path, enum file_trust trust, struct error *why)
{
    /* O_NONBLOCK: a fifo put in the file's place must not hang us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        error_set(why, "%s: %s", path, explain_open(errno));
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
        error_set(why, "%s: larger than expected", path);
        n = -1;
    }
    close(fd);
    return n;
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

bool file_sync_directory_of(const char *path)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) + 1 : 0;
    int fd;
    bool synced;

    if (size >= sizeof directory) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(directory, path, size);
    directory[size] = '\0';
    fd = open(size ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return synced;
}

bool file_create(const char *path, mode_t mode, const void *content, size_t size, struct error *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0)
        return error_set(why, "%s: %s", path, strerror(errno));
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
            return error_set(why, "%s: %s", partial, strerror(errno));
    }
    return true;
}
