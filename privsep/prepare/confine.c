#include "privsep/prepare/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/privilege/syscalls.h"
#include "privsep/prepare/drop.h"
#include "privsep/prepare/landlock.h"

enum { DESCRIPTORS_MAX = 64 };

/* The calls of the helper that are allowed besides those that iptables needs. */
static const int calls_of_helper[] = {
    SCMP_SYS(pwrite64), SCMP_SYS(fdatasync), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_settime64),
};

/* Until the helper has narrowed itself. */
static const int calls_until_then[] = {
    SCMP_SYS(fsync), SCMP_SYS(unlinkat), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(fallocate), SCMP_SYS(timerfd_create), SCMP_SYS(landlock_restrict_self),
    SCMP_SYS(seccomp), SCMP_SYS(connect),
};

/* All that the helper calls that runs no program: it waits, it speaks through sockets that are
 * open, it writes the marks. Nothing here opens anything. */
static const int calls_without_programs[] = {
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_settime64), SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64),
    SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(sendto), SCMP_SYS(send), SCMP_SYS(recvfrom), SCMP_SYS(recv), SCMP_SYS(recvmsg),
    SCMP_SYS(setsockopt),
    SCMP_SYS(pwrite64), SCMP_SYS(fdatasync), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(fstat),
    SCMP_SYS(fstat64), SCMP_SYS(getpid),
    /* the C library: memory, signals, the end */
    SCMP_SYS(brk), SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(getrandom),
    SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(gettid), SCMP_SYS(tkill), SCMP_SYS(tgkill),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn),
    SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
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

/* No memory can be had that code can be put into, and be run. */
static void begin_filter_without_programs(struct syscalls *syscalls)
{
    const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)};

    syscalls_begin(syscalls);
    syscalls_allow(syscalls, calls_without_programs,
                   sizeof calls_without_programs / sizeof *calls_without_programs);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        syscalls_allow_masked(syscalls, calls[i], 2, PROT_EXEC, 0);
    /* As the C library calls them for fstat(2). */
    syscalls_allow_masked(syscalls, SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
    syscalls_allow_masked(syscalls, SCMP_SYS(fstatat64), 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
    syscalls_allow_masked(syscalls, SCMP_SYS(statx), 2, AT_EMPTY_PATH, AT_EMPTY_PATH);
}

/* Local sockets lead to services that do what root asks of them. They are refused, and do not
 * kill, as the C library looks for its name service cache, and the log is looked for anew once it
 * went away. The log's socket was connected before. */
int helper_export_filter(int fd, enum backend backend)
{
    struct syscalls syscalls;

    if (backend == BACKEND_NFTABLES)
        begin_filter_without_programs(&syscalls);
    else
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
