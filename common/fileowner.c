/* Whose a file is, and how its name gets onto the disk. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"

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
