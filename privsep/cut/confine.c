#include "privsep/cut/confine.h"

#include "common/privilege/syscalls.h"
#include "privsep/prepare/drop.h"

static const int calls[] = {
    SCMP_SYS(sendto), SCMP_SYS(send), SCMP_SYS(recvfrom), SCMP_SYS(recv), SCMP_SYS(recvmsg),
    SCMP_SYS(close),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), /* where the vDSO has no clock */
    SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(madvise), /* libseccomp's memory is given back */
};

bool cut_confine(struct error *why)
{
    struct syscalls syscalls;

    if (!helper_drop(false, why))
        return false;
    syscalls_begin(&syscalls);
    syscalls_allow(&syscalls, calls, sizeof calls / sizeof *calls);
    return syscalls_load(&syscalls, why);
}
