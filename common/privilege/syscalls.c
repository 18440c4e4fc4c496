#include "common/privilege/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/libc.h"
#include "common/log.h"

#ifdef __ARM_NR_set_tls /* libseccomp's header knows it by another name alone */
#undef __SNR_set_tls
#define __SNR_set_tls __ARM_NR_set_tls
#endif

enum {
    SOCKET_TYPE_MASK = 0xf, /* the bits below SOCK_CLOEXEC and SOCK_NONBLOCK */
    NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                     CLONE_NEWPID | CLONE_NEWNET,
};

enum {
    DUPLICATE_AND_LOCK = 7, /* F_DUPFD to F_SETLKW are 0 to 7; leases and signals come after */
};

/* The system calls of iptables 1.8.9 and 1.8.11, nft and legacy, on glibc 2.36 and 2.41, as
 * strace(1) shows them, and the names that other releases, machines and musl have for the same
 * calls. Of these an architecture's filter holds what it has (tests/unit/calls).
 * Since glibc 2.39, posix_spawn(3) reaps a child whose exec failed by waitid. */
static const int iptables_calls[] = {
    /* starting: the program, its libraries, its memory */
    SCMP_SYS(execve), SCMP_SYS(vfork), SCMP_SYS(arch_prctl), SCMP_SYS(set_tls),
    SCMP_SYS(set_tid_address), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(brk),
    SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect), SCMP_SYS(mremap), SCMP_SYS(munmap),
    SCMP_SYS(madvise), SCMP_SYS(getrandom), SCMP_SYS(futex), SCMP_SYS(futex_time64),
    SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(ugetrlimit),
    /* files and pipes */
    SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64),
    SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(stat),
    SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(stat64), SCMP_SYS(lstat64), SCMP_SYS(fstat64),
    SCMP_SYS(fstatat64), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs),
    SCMP_SYS(statfs64), SCMP_SYS(fstatfs), SCMP_SYS(fstatfs64), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(flock), SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    /* waiting, time, signals */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64), SCMP_SYS(select), SCMP_SYS(pselect6),
    SCMP_SYS(pselect6_time64), SCMP_SYS(alarm), SCMP_SYS(setitimer), SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn),
    SCMP_SYS(sigaltstack),
    /* itself and its children */
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getuid32), SCMP_SYS(geteuid32),
    SCMP_SYS(getgid32), SCMP_SYS(getegid32), SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(tgkill),
    SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(exit), SCMP_SYS(exit_group),
    /* sockets, but not their making */
    SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(send), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(recv),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
};

#ifdef __SANITIZE_ADDRESS__
static const int sanitizer_calls[] = {
    SCMP_SYS(mmap),   SCMP_SYS(mprotect), SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigaction),
    SCMP_SYS(getpid), SCMP_SYS(gettid),   SCMP_SYS(tgkill),      SCMP_SYS(sched_yield),
    SCMP_SYS(futex),  SCMP_SYS(readlink), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(getrandom), /* for malloc, which syscalls_load uses first then */
};
#endif

#ifdef PORTSMITH_NAME_CALLS
/* Looking the name up and logging are not safe in a signal handler. That does no harm: the
 * process was to die anyway. */
static void name_call(int number, siginfo_t *info, void *context)
{
    char *name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);

    (void)number;
    (void)context;
    log_warnx("the forbidden system call %s (%d)", name ? name : "?", info->si_syscall);
    _exit(SYSCALLS_EXIT_STATUS);
}

static uint32_t action_when_forbidden(void)
{
    struct sigaction action = {.sa_sigaction = name_call, .sa_flags = SA_SIGINFO};

    sigaction(SIGSYS, &action, NULL);
    return SCMP_ACT_TRAP;
}
#else
static uint32_t action_when_forbidden(void)
{
    return SCMP_ACT_KILL_PROCESS;
}
#endif

void syscalls_begin(struct syscalls *syscalls)
{
    syscalls->context = seccomp_init(action_when_forbidden());
    syscalls->error = syscalls->context ? 0 : -ENOMEM;
#ifdef __SANITIZE_ADDRESS__
    syscalls_allow(syscalls, sanitizer_calls, sizeof sanitizer_calls / sizeof *sanitizer_calls);
#endif
}

static void add(struct syscalls *syscalls, uint32_t action, int call,
                const struct scmp_arg_cmp *conditions, unsigned count)
{
    if (syscalls->error == 0)
        syscalls->error =
            seccomp_rule_add_array(syscalls->context, action, call, count, conditions);
}

void syscalls_allow(struct syscalls *syscalls, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(syscalls, SCMP_ACT_ALLOW, calls[i], NULL, 0);
}

void syscalls_allow_masked(struct syscalls *syscalls, int call, unsigned index, unsigned mask,
                         unsigned value)
{
    const struct scmp_arg_cmp condition = {
        .arg = index, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};

    add(syscalls, SCMP_ACT_ALLOW, call, &condition, 1);
}

void syscalls_allow_socket(struct syscalls *syscalls, unsigned family, unsigned type)
{
    const struct scmp_arg_cmp conditions[] = {
        {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = ~0u, .datum_b = family},
        {.arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = SOCKET_TYPE_MASK, .datum_b = type},
    };

    add(syscalls, SCMP_ACT_ALLOW, SCMP_SYS(socket), conditions, 2);
}

void syscalls_refuse_socket(struct syscalls *syscalls, unsigned family)
{
    const struct scmp_arg_cmp condition = {
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = ~0u, .datum_b = family};

    add(syscalls, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), &condition, 1);
}

void syscalls_refuse(struct syscalls *syscalls, int call)
{
    add(syscalls, SCMP_ACT_ERRNO(EACCES), call, NULL, 0);
}

void syscalls_allow_netlink(struct syscalls *syscalls, unsigned protocol)
{
    const struct scmp_arg_cmp conditions[] = {
        {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = ~0u, .datum_b = AF_NETLINK},
        {.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = ~0u, .datum_b = protocol},
    };

    add(syscalls, SCMP_ACT_ALLOW, SCMP_SYS(socket), conditions, 2);
}

/* Allows fcntl(2) but for F_SETOWN, by which signals go to any process, and for leases on the
 * files of others. */
static void allow_fcntl(struct syscalls *syscalls, int call)
{
    syscalls_allow_masked(syscalls, call, 1, ~(unsigned)DUPLICATE_AND_LOCK, 0);
    syscalls_allow_masked(syscalls, call, 1, ~0u, F_DUPFD_CLOEXEC);
}

void syscalls_allow_iptables(struct syscalls *syscalls)
{
    syscalls_allow(syscalls, iptables_calls, sizeof iptables_calls / sizeof *iptables_calls);
    syscalls_allow_netlink(syscalls, NETLINK_NETFILTER);
    syscalls_allow_netlink(syscalls, NETLINK_ROUTE);
    syscalls_allow_socket(syscalls, AF_INET, SOCK_RAW); /* for iptables-legacy's questions */
    syscalls_allow_socket(syscalls, AF_INET6, SOCK_RAW);
    syscalls_allow_socket(syscalls, AF_INET, SOCK_DGRAM); /* the C library, before it parses */
    syscalls_allow_socket(syscalls, AF_INET6, SOCK_DGRAM);
    syscalls_allow_masked(syscalls, SCMP_SYS(clone), 0, NEW_NAMESPACES, 0);
    /* A filter cannot read clone3's flags. Where clone3 is missing the C library takes clone. */
    add(syscalls, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), NULL, 0);
    syscalls_allow_masked(syscalls, SCMP_SYS(prlimit64), 0, ~0u, 0); /* its own limits alone */
    syscalls_allow_masked(syscalls, SCMP_SYS(ioctl), 1, ~0u, TIOCGWINSZ); /* musl: a terminal? */
    /* Opening with O_TRUNC stays forbidden: Landlock knows of truncation since Linux 6.2 only. */
    syscalls_allow_masked(syscalls, SCMP_SYS(open), 1, O_TRUNC, 0);
    syscalls_allow_masked(syscalls, SCMP_SYS(openat), 2, O_TRUNC, 0);
    allow_fcntl(syscalls, SCMP_SYS(fcntl));
    allow_fcntl(syscalls, SCMP_SYS(fcntl64));
}

int syscalls_export(struct syscalls *syscalls, int fd)
{
    if (syscalls->error == 0)
        syscalls->error = seccomp_export_bpf(syscalls->context, fd);
    if (syscalls->context)
        seccomp_release(syscalls->context);
    return -syscalls->error;
}

bool syscalls_load(struct syscalls *syscalls, struct error *why)
{
    if (syscalls->error == 0)
        syscalls->error = seccomp_load(syscalls->context);
    if (syscalls->context)
        seccomp_release(syscalls->context);
    malloc_trim(0); /* libseccomp used several times the memory that the process needs itself */
    return syscalls->error == 0 ||
           error_set(why, "cannot load the system call filter: %s", strerror(-syscalls->error));
}
