#include "daemon/portsmith-firewall/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"

#define DIRECTORY "/run/portsmith"

enum { PATIENCE_MS = 5000, POLL_MS = 50 };

static int own = -1; /* the descriptor of KEEPER_FILE that holds the lock */

/* The process that holds the file's lock, or 0. */
static pid_t find_holder(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

bool keeper_become(struct error *why)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd;

    if (!file_make_directory(DIRECTORY, 0755, why))
        return false;
    fd = open(KEEPER_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(why, KEEPER_FILE ": %s", strerror(errno));
    for (int waited = 0; fcntl(fd, F_SETLK, &lock) != 0; waited += POLL_MS) {
        pid_t before = find_holder(fd);

        if (before > 0)
            kill(before, SIGKILL);
        if (waited >= PATIENCE_MS) {
            close(fd);
            return error_set(why, "the process before, pid %d, does not end", (int)before);
        }
        poll(NULL, 0, POLL_MS);
    }
    own = fd; /* the lock lasts as long as this is open */
    return true;
}

bool keeper_can_be_found(void)
{
    struct stat held, there;

    return fstat(own, &held) == 0 && lstat(KEEPER_FILE, &there) == 0 &&
           held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

pid_t keeper_find(void)
{
    int fd = open(KEEPER_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    pid_t holder = 0;

    if (fd >= 0) {
        holder = find_holder(fd);
        close(fd);
    }
    return holder;
}

void keeper_end(void)
{
    pid_t keeper = keeper_find();

    if (keeper > 0)
        kill(keeper, SIGKILL);
}
