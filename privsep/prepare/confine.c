#include "privsep/prepare/confine.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/privilege/syscalls.h"
#include "privsep/prepare/drop.h"
#include "privsep/prepare/landlock.h"

enum { DESCRIPTORS_MAX = 64 };

/* The calls that are allowed besides those that iptables needs: for marks, grants and timers. */
static const int calls[] = {
    SCMP_SYS(pwrite64), SCMP_SYS(fdatasync), SCMP_SYS(fsync),          SCMP_SYS(unlinkat),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(fallocate),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
};

static bool limit_descriptors(struct error *why)
{
    struct rlimit few;

    if (getrlimit(RLIMIT_NOFILE, &few) == 0) {
        if (few.rlim_max > DESCRIPTORS_MAX)
            few.rlim_max = DESCRIPTORS_MAX;
        few.rlim_cur = few.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &few) == 0)
            return true;
    }
    return error_set(why, "cannot limit descriptors: %s", strerror(errno));
}

static bool limit_calls(struct error *why)
{
    struct syscalls syscalls;

    syscalls_begin(&syscalls);
    syscalls_allow_iptables(&syscalls);
    syscalls_allow(&syscalls, calls, sizeof calls / sizeof *calls);
    /* Local sockets lead to services that do what root asks of them. They are refused, and do not
     * kill, as the C library looks for its name service cache, and for syslog if that went away.
     * The log's socket was connected before. */
    syscalls_refuse_socket(&syscalls, AF_UNIX);
    syscalls_refuse(&syscalls, SCMP_SYS(connect));
    return syscalls_load(&syscalls, why);
}

bool helper_confine(const struct xtables *found, bool uses_sets, struct error *why)
{
    return helper_drop(found->backend == BACKEND_LEGACY || uses_sets, why) &&
           limit_descriptors(why) &&
           helper_landlock_enter(found, why) && limit_calls(why);
}
