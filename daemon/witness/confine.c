#include "daemon/witness/confine.h"

#include <sys/socket.h>
#include <unistd.h>

#include "common/privilege/syscalls.h"

/* Only the C library asks for memory, gives it back, and looks what time zone it is. */
static const int witness_calls[] = {
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64), SCMP_SYS(recvfrom), SCMP_SYS(recv),
    SCMP_SYS(recvmsg), SCMP_SYS(pread64), SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64),
    SCMP_SYS(getpid), SCMP_SYS(close), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(madvise),
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn),
    SCMP_SYS(restart_syscall), SCMP_SYS(send), /* without an address, unlike sendto */
};

enum { SIZE_OF_ADDRESS = 5 /* an argument of sendto(2) */ };

bool witness_confine(struct error *why)
{
    struct syscalls syscalls;

    syscalls_begin(&syscalls);
    syscalls_allow(&syscalls, witness_calls, sizeof witness_calls / sizeof *witness_calls);
    /* To whom a socket is connected. The log's was made in the host's network: with an address it
     * would reach every service there that has an abstract one. */
    syscalls_allow_masked(&syscalls, SCMP_SYS(sendto), SIZE_OF_ADDRESS, ~0u, 0);
    syscalls_allow_masked(&syscalls, SCMP_SYS(write), 0, ~0u, STDERR_FILENO);
    syscalls_refuse_socket(&syscalls, AF_UNIX); /* as the helper's are */
    syscalls_refuse(&syscalls, SCMP_SYS(connect));
    return syscalls_load(&syscalls, why);
}
