#include "daemon/supervisor/confine.h"

#include <linux/netlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/privilege/syscalls.h"

/* The calls that are allowed besides those that iptables needs. */
static const int supervisor_calls[] = {
    /* the supervisor */
    SCMP_SYS(fcntl), SCMP_SYS(fcntl64), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(connect),
    SCMP_SYS(socketpair), SCMP_SYS(shutdown), SCMP_SYS(signalfd4),
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(ftruncate), SCMP_SYS(ftruncate64),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(fchmod), SCMP_SYS(mlock), SCMP_SYS(munlock),
    SCMP_SYS(fsync), SCMP_SYS(getdents64),
    SCMP_SYS(listen), SCMP_SYS(accept4), SCMP_SYS(umask), /* the control socket */
    SCMP_SYS(memfd_create), /* what other programs print: tool.h */
    /* a sniffer on its way down */
    SCMP_SYS(prctl), SCMP_SYS(setsid), SCMP_SYS(eventfd2), SCMP_SYS(chroot), SCMP_SYS(chdir),
    SCMP_SYS(setrlimit), SCMP_SYS(capget), SCMP_SYS(capset), SCMP_SYS(setgroups),
    SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setuid), SCMP_SYS(setgid),
    SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(getgroups), SCMP_SYS(seccomp),
    SCMP_SYS(setgroups32), SCMP_SYS(setresuid32), SCMP_SYS(setresgid32), SCMP_SYS(setuid32),
    SCMP_SYS(setgid32), SCMP_SYS(getresuid32), SCMP_SYS(getresgid32), SCMP_SYS(getgroups32),
    /* a helper: its marks, grants and timers, and what confines it */
    SCMP_SYS(pwrite64), SCMP_SYS(fdatasync), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(fallocate), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_settime64), SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_add_rule),
    SCMP_SYS(landlock_restrict_self),
    /* modprobe, which iptables-legacy runs while a helper probes */
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(getcwd),
};

enum { DEVICE_CONTROLS = 0x8900, DEVICE_CONTROL_MASK = ~0xff /* SIOCGIFFLAGS and its like */ };

bool supervisor_confine(struct error *why)
{
    struct syscalls syscalls;

    syscalls_begin(&syscalls);
    syscalls_allow_iptables(&syscalls);
    syscalls_allow(&syscalls, supervisor_calls, sizeof supervisor_calls / sizeof *supervisor_calls);
    syscalls_allow_masked(&syscalls, SCMP_SYS(socket), 0, ~0u, AF_UNIX);
    syscalls_allow_masked(&syscalls, SCMP_SYS(socket), 0, ~0u, AF_PACKET);
    syscalls_allow_netlink(&syscalls, NETLINK_GENERIC); /* libpcap: is it a wireless interface? */
    syscalls_allow_netlink(&syscalls, NETLINK_SOCK_DIAG); /* portsmith-cut */
    syscalls_allow_masked(&syscalls, SCMP_SYS(unshare), 0, ~0u, CLONE_NEWNET);
    syscalls_allow_masked(&syscalls, SCMP_SYS(ioctl), 1, (unsigned)DEVICE_CONTROL_MASK,
                        DEVICE_CONTROLS);
    syscalls_allow_masked(&syscalls, SCMP_SYS(ioctl), 1, ~0u, TCGETS); /* is this a terminal? */
    return syscalls_load(&syscalls, why);
}
