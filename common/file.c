#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the file has a name: a file that is standard input has none that a command could be
 * given. */
static bool has_name(const char *path)
{
    return strcmp(path, FILE_STANDARD_INPUT) != 0;
}

/* The advice to run chown comes second, as that takes the file away from its user. */
bool file_check_owner(const struct stat *s, const char *path, struct error *why)
{
    const char *owner = geteuid() == 0 ? "root" : "you or root";

    if (s->st_uid == geteuid() || s->st_uid == 0)
        return true;
    if (geteuid() == 0 && has_name(path))
        return error_set(why, "%s: belongs to user %u, but must belong to root; run this as that "
                              "user or, if only root is to use it, run: chown root %s", path,
                         s->st_uid, path);
    return error_set(why, "%s: belongs to user %u, but must belong to %s; run this as that user, "
                          "or take a copy that belongs to %s", path, s->st_uid, owner, owner);
}

/* Sets the error that the mode is too open, with what to do. A caller who is not root cannot
 * change the mode of root's file, and could not read root's secret if the mode were right. */
static bool refuse_mode(const char *path, const struct stat *s, enum file_trust trust,
                        struct error *why)
{
    const char *tight = trust == FILE_SECRET ? "600" : "go-w";
    unsigned mode = s->st_mode & 07777u;
    bool is_own = s->st_uid == geteuid();

    if (!is_own && trust == FILE_SECRET)
        return error_set(why, "%s: mode %04o is too open, and it is root's; take a copy that is "
                              "yours, and run chmod 600 on that", path, mode);
    if (!has_name(path))
        return error_set(why, "%s: mode %04o is too open; run chmod %s on the file that it comes "
                              "from", path, mode, tight);
    return error_set(why, "%s: mode %04o is too open; %srun: chmod %s %s", path, mode,
                     is_own ? "" : "as root, ", tight, path);
}

bool file_check(int fd, const char *path, enum file_trust trust, struct error *why)
{
    mode_t loose = trust == FILE_SECRET ? 077 : 022;
    struct stat s;

    if (fstat(fd, &s) != 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode))
        return error_set(why, "%s: not a regular file", path);
    return file_check_owner(&s, path, why) &&
           (!(s.st_mode & loose) || refuse_mode(path, &s, trust, why));
}

const char *file_explain(int error)
{
    switch (error) {
    case ELOOP:
        return "is a symbolic link, which is not followed here; put the file itself in its place";
    case EACCES:
        if (geteuid() == 0) /* root without CAP_DAC_OVERRIDE, as under portsmithd.service */
            return "Permission denied, though this is root: it, or a directory above, belongs to "
                   "another user, or AppArmor or the like forbids it";
        return "Permission denied; run this as the user whose file it is; if you are, make it, and "
               "the directories above, accessible to you";
    default:
        return strerror(error);
    }
}

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
            return error_set(why, "%s: %s", partial, explain_making(errno));
    }
    return true;
}
