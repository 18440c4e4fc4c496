#include "privsep/prepare/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/privilege/syscalls.h"
#include "privsep/prepare/drop.h"
#include "privsep/prepare/landlock.h"

enum { DESCRIPTORS_MAX = 64 };

/* The calls that are allowed besides those that iptables needs. */
static const int calls_of_helper[] = {
    SCMP_SYS(pwrite64), SCMP_SYS(fdatasync), SCMP_SYS(timerfd_settime),
};

/* Until the helper has narrowed itself. */
static const int calls_until_then[] = {
    SCMP_SYS(fsync), SCMP_SYS(unlinkat), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(fallocate), SCMP_SYS(timerfd_create), SCMP_SYS(landlock_restrict_self),
    SCMP_SYS(seccomp), SCMP_SYS(connect),
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

static void begin_filter(struct syscalls *syscalls)
{
    syscalls_begin(syscalls);
    syscalls_allow_iptables(syscalls);
    syscalls_allow(syscalls, calls_of_helper, sizeof calls_of_helper / sizeof *calls_of_helper);
}

/* Allows fcntl(2) to seal the plan, and to look at its seals. */
static void allow_sealing(struct syscalls *syscalls, int call)
{
    syscalls_allow_masked(syscalls, call, 1, ~0u, F_ADD_SEALS);
    syscalls_allow_masked(syscalls, call, 1, ~0u, F_GET_SEALS);
}

/* The program that is executed opens the log anew, and is to leave no core dump either. */
static bool limit_calls(struct error *why)
{
    struct syscalls syscalls;

    begin_filter(&syscalls);
    syscalls_allow(&syscalls, calls_until_then,
                   sizeof calls_until_then / sizeof *calls_until_then);
    syscalls_allow_masked(&syscalls, SCMP_SYS(socket), 0, ~0u, AF_UNIX);
    syscalls_allow_masked(&syscalls, SCMP_SYS(prctl), 0, ~0u, PR_SET_DUMPABLE);
    allow_sealing(&syscalls, SCMP_SYS(fcntl));
    allow_sealing(&syscalls, SCMP_SYS(fcntl64));
    return syscalls_load(&syscalls, why);
}

/* Local sockets lead to services that do what root asks of them. They are refused, and do not
 * kill, as the C library looks for its name service cache, and the log is looked for anew once it
 * went away. The log's socket was connected before. */
int helper_export_filter(int fd)
{
    struct syscalls syscalls;

    begin_filter(&syscalls);
    syscalls_refuse_socket(&syscalls, AF_UNIX);
    syscalls_refuse(&syscalls, SCMP_SYS(connect));
    return syscalls_export(&syscalls, fd);
}

bool helper_confine(const struct xtables *found, bool uses_sets, struct error *why)
{
    return helper_drop(found->backend == BACKEND_LEGACY || uses_sets, why) &&
           limit_descriptors(why) &&
           helper_landlock_enter(found, why) && limit_calls(why);
}
