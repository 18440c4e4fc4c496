#include "common/privilege/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

enum {
    SOCKET_TYPE_MASK = 0xf, /* the bits below SOCK_CLOEXEC and SOCK_NONBLOCK */
    NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                     CLONE_NEWPID | CLONE_NEWNET,
};

enum {
    DUPLICATE_AND_LOCK = 7, /* F_DUPFD to F_SETLKW are 0 to 7; leases and signals come after */
};

/* The system calls of iptables 1.8.9 and 1.8.11, nft and legacy, on glibc 2.36 and 2.41, as
 * strace(1) shows them, and the names that other releases and machines have for the same calls.
 * Since glibc 2.39, posix_spawn(3) reaps a child whose exec failed by waitid. */
static const int iptables_calls[] = {
    /* starting: the program, its libraries, its memory */
    SCMP_SYS(execve), SCMP_SYS(vfork), SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address),
    SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(mmap2),
    SCMP_SYS(mprotect), SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(getrandom),
    SCMP_SYS(futex), SCMP_SYS(uname), SCMP_SYS(sysinfo),
    /* files and pipes */
    SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(stat), SCMP_SYS(lstat),
    SCMP_SYS(fstat), SCMP_SYS(stat64), SCMP_SYS(lstat64), SCMP_SYS(fstat64), SCMP_SYS(fstatat64),
    SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(statfs64), SCMP_SYS(fstatfs),
    SCMP_SYS(fstatfs64), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(flock), SCMP_SYS(pipe), SCMP_SYS(pipe2),
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
    SCMP_SYS(getgid32), SCMP_SYS(getegid32), SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(wait4),
    SCMP_SYS(waitid), SCMP_SYS(exit), SCMP_SYS(exit_group),
    /* sockets, but not their making */
    SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
};

#ifdef __SANITIZE_ADDRESS__
static const int sanitizer_calls[] = {
    SCMP_SYS(mmap),   SCMP_SYS(mprotect), SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigaction),
    SCMP_SYS(getpid), SCMP_SYS(gettid),   SCMP_SYS(tgkill),      SCMP_SYS(sched_yield),
    SCMP_SYS(futex),  SCMP_SYS(readlink), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(getrandom), /* for the C library's malloc, which is first used by filter_load then */
};
#endif

#ifdef PORTSMITH_NAME_CALLS
/* Names the forbidden call, and ends the process. Neither looking the name up nor logging is
 * safe in a signal handler, but the process was to die in any case. */
static void name_call(int number, siginfo_t *info, void *context)
{
    char *name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);

    (void)number;
    (void)context;
    log_warnx("the forbidden system call %s (%d)", name ? name : "?", info->si_syscall);
    _exit(FILTER_EXIT_STATUS);
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

void filter_begin(struct filter *filter)
{
    filter->context = seccomp_init(action_when_forbidden());
    filter->error = filter->context ? 0 : -ENOMEM;
#ifdef __SANITIZE_ADDRESS__
    filter_allow(filter, sanitizer_calls, sizeof sanitizer_calls / sizeof *sanitizer_calls);
#endif
}

static void add(struct filter *filter, uint32_t action, int call,
                const struct scmp_arg_cmp *conditions, unsigned count)
{
    if (filter->error == 0)
        filter->error = seccomp_rule_add_array(filter->context, action, call, count, conditions);
}

void filter_allow(struct filter *filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(filter, SCMP_ACT_ALLOW, calls[i], NULL, 0);
}

void filter_allow_masked(struct filter *filter, int call, unsigned index, unsigned mask,
                         unsigned value)
{
    const struct scmp_arg_cmp condition = {
        .arg = index, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};

    add(filter, SCMP_ACT_ALLOW, call, &condition, 1);
}

void filter_allow_socket(struct filter *filter, unsigned family, unsigned type)
{
    const struct scmp_arg_cmp conditions[] = {
        {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = ~0u, .datum_b = family},
        {.arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = SOCKET_TYPE_MASK, .datum_b = type},
    };

    add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), conditions, 2);
}

void filter_refuse_socket(struct filter *filter, unsigned family)
{
    const struct scmp_arg_cmp condition = {
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = ~0u, .datum_b = family};

    add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), &condition, 1);
}

void filter_refuse(struct filter *filter, int call)
{
    add(filter, SCMP_ACT_ERRNO(EACCES), call, NULL, 0);
}

void filter_allow_netlink(struct filter *filter, unsigned protocol)
{
    const struct scmp_arg_cmp conditions[] = {
        {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = ~0u, .datum_b = AF_NETLINK},
        {.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = ~0u, .datum_b = protocol},
    };

    add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), conditions, 2);
}

/* Allows fcntl(2), but neither F_SETOWN, which could have signals sent to any process, nor
 * leases on others' files. */
static void allow_fcntl(struct filter *filter, int call)
{
    filter_allow_masked(filter, call, 1, ~(unsigned)DUPLICATE_AND_LOCK, 0);
    filter_allow_masked(filter, call, 1, ~0u, F_DUPFD_CLOEXEC);
}

void filter_allow_iptables(struct filter *filter)
{
    filter_allow(filter, iptables_calls, sizeof iptables_calls / sizeof *iptables_calls);
    filter_allow_netlink(filter, NETLINK_NETFILTER);
    filter_allow_netlink(filter, NETLINK_ROUTE);
    filter_allow_socket(filter, AF_INET, SOCK_RAW); /* iptables-legacy asks the kernel by it */
    filter_allow_socket(filter, AF_INET6, SOCK_RAW);
    filter_allow_socket(filter, AF_INET, SOCK_DGRAM); /* the C library, before it parses */
    filter_allow_socket(filter, AF_INET6, SOCK_DGRAM);
    filter_allow_masked(filter, SCMP_SYS(clone), 0, NEW_NAMESPACES, 0);
    /* A filter cannot see the flags of clone3. Refused, the C library takes clone. */
    add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), NULL, 0);
    filter_allow_masked(filter, SCMP_SYS(prlimit64), 0, ~0u, 0); /* a process's own limits alone */
    /* Before Linux 6.2 Landlock does not know of truncation, so the filter refuses it. */
    filter_allow_masked(filter, SCMP_SYS(open), 1, O_TRUNC, 0);
    filter_allow_masked(filter, SCMP_SYS(openat), 2, O_TRUNC, 0);
    allow_fcntl(filter, SCMP_SYS(fcntl));
    allow_fcntl(filter, SCMP_SYS(fcntl64));
}

bool filter_load(struct filter *filter, struct error *why)
{
    if (filter->error == 0)
        filter->error = seccomp_load(filter->context);
    if (filter->context)
        seccomp_release(filter->context);
    malloc_trim(0); /* libseccomp has used several times the memory of the process itself */
    return filter->error == 0 ||
           error_set(why, "cannot load the system call filter: %s", strerror(-filter->error));
}
