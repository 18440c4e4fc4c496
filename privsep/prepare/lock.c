#include "privsep/prepare/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/clock.h"
#include "privsep/message.h"

enum { LOCK_POLL_MS = 20 };

/* An iptables that runs once waits up to 5 s for its own lock. */
#define LOCK_PATIENCE_NS (8 * (int64_t)NSEC_PER_SEC)

bool helper_marks_lock(int state_dir, struct error *why)
{
    /* The helper opens the directory again: a lock on the supervisor's open file description would
     * outlive the helper. */
    int fd = openat(state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t deadline = clock_boot_ns() + LOCK_PATIENCE_NS;
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

    /* A helper whose supervisor was killed, or the iptables program of one that was
     * killed itself, may still be finishing a transaction. */
    while (fd >= 0 && !locked && errno == EWOULDBLOCK && clock_boot_ns() < deadline) {
        poll(NULL, 0, LOCK_POLL_MS);
        locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    }
    if (locked && dup3(fd, HELPER_FD_LOCK, O_CLOEXEC) != HELPER_FD_LOCK)
        locked = error_set(why, "cannot keep the lock of the state directory: %s", strerror(errno));
    else if (!locked && fd >= 0 && errno == EWOULDBLOCK)
        error_set(why, "the state directory is in use by another portsmithd, or by iptables that a "
                       "killed one left behind");
    else if (!locked)
        error_set(why, "cannot lock the state directory: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return locked;
}
