#include "daemon/config/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

static const struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

static void pidfile_path(char path[static PATH_MAX], const char *run_directory)
{
    snprintf(path, PATH_MAX, "%s/portsmithd.pid", run_directory);
}

static pid_t lock_holder(int fd)
{
    struct flock lock = whole_file;

    if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid;
}

static bool lock_and_write(int fd, const char *path, struct error *why)
{
    struct flock lock = whole_file;
    char text[16];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    pid_t owner;

    if (fcntl(fd, F_SETLK, &lock) == 0)
        return (ftruncate(fd, 0) == 0 && file_write_all(fd, text, (size_t)n)) ||
               error_set(why, "%s: %s", path, strerror(errno));
    if (errno != EACCES && errno != EAGAIN)
        return error_set(why, "%s: %s", path, strerror(errno));
    owner = lock_holder(fd);
    if (owner > 0)
        return error_set(why, "already running as pid %d", (int)owner);
    /* The kernel tells no pid of a process in a PID namespace beyond ours. */
    return error_set(why, "%s: locked by a process that cannot be seen from here, as in another "
                          "container: another portsmithd has this RunDirectory", path);
}

int pidfile_create(const char *run_directory, struct error *why)
{
    char path[PATH_MAX];
    int fd;

    pidfile_path(path, run_directory);
    /* Others may not read the file: they could hold a read lock on it. */
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        error_set(why, "%s: %s", path, file_explain(errno));
        return -1;
    }
    if (!lock_and_write(fd, path, why)) {
        close(fd);
        return -1;
    }
    return fd;
}

void pidfile_end(int fd)
{
    /* The file is not removed: a daemon that starts just now may have opened it. */
    if (ftruncate(fd, 0) != 0)
        (void)0; /* this portsmithd ends all the same */
    close(fd);
}

pid_t pidfile_owner(const char *run_directory)
{
    char path[PATH_MAX];
    pid_t owner;
    int fd;

    pidfile_path(path, run_directory);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    owner = lock_holder(fd);
    close(fd);
    return owner;
}
