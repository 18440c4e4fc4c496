#include "daemon/sniffer/confine.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "common/privilege/syscalls.h"

/* libpcap's capture is a ring in memory: the sniffer waits for it, and libpcap asks the socket
 * only whether its interface is still there, and up. Only the C library asks for memory and gives
 * it back. */
static const int sniffer_calls[] = {
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64), SCMP_SYS(recvfrom), SCMP_SYS(recv),
    SCMP_SYS(getsockopt), SCMP_SYS(read), SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64),
    SCMP_SYS(getsockname), SCMP_SYS(restart_syscall), SCMP_SYS(brk), SCMP_SYS(munmap),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn), SCMP_SYS(exit), SCMP_SYS(madvise),
    SCMP_SYS(exit_group),
};

bool sniffer_confine(int peer, struct error *why)
{
    struct syscalls syscalls;

    syscalls_begin(&syscalls);
    syscalls_allow(&syscalls, sniffer_calls, sizeof sniffer_calls / sizeof *sniffer_calls);
    syscalls_allow_masked(&syscalls, SCMP_SYS(sendto), 0, ~0u, (unsigned)peer);
    syscalls_allow_masked(&syscalls, SCMP_SYS(send), 0, ~0u, (unsigned)peer);
    syscalls_allow_masked(&syscalls, SCMP_SYS(ioctl), 1, ~0u, SIOCGIFFLAGS);
    /* Standard error is /dev/null by now: nobody reads what libraries write there at the end. */
    syscalls_allow_masked(&syscalls, SCMP_SYS(write), 0, ~0u, STDERR_FILENO);
    return syscalls_load(&syscalls, why);
}
