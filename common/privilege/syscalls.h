/* Filters of system calls (seccomp): what a process, and whatever it starts, may still ask of
 * the kernel. A system call that was neither allowed nor refused kills the process. A debug
 * build in the foreground names the call on standard error first.
 *
 * A later filter can only tighten an earlier one: the supervisor's filter holds for all that it
 * starts, that of portsmith-prepare for the helper, too, and the helper's for the iptables
 * programs. */
#ifndef PORTSMITH_SYSCALLS_H
#define PORTSMITH_SYSCALLS_H

#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#ifdef PORTSMITH_NAME_CALLS
enum { SYSCALLS_NAMES_CALLS = 1, SYSCALLS_EXIT_STATUS = 159 /* as a shell tells SIGSYS */ };
#else
enum { SYSCALLS_NAMES_CALLS = 0 };
#endif

/* A filter that is being made. The functions that add to it do not fail: the first failure is
 * kept here, and the last function tells it. */
struct syscalls {
    scmp_filter_ctx context;
    int error; /* negative errno */
};

/* Begins a filter that allows nothing. syscalls_load or syscalls_export is to be called on it. */
void syscalls_begin(struct syscalls *syscalls);

/* Allows `count` system calls, whatever their arguments. */
void syscalls_allow(struct syscalls *syscalls, const int *calls, size_t count);

/* Allows a call whose argument number `index`, of 32 bits, has `value` in the
 * bits of `mask`. */
void syscalls_allow_masked(struct syscalls *syscalls, int call, unsigned index, unsigned mask,
                         unsigned value);

/* Allows sockets of a family and a type (SOCK_DGRAM and so on). */
void syscalls_allow_socket(struct syscalls *syscalls, unsigned family, unsigned type);

/* Let sockets of a family, or a system call, fail with EACCES instead of killing the process:
 * for what a library tries and can do without. */
void syscalls_refuse_socket(struct syscalls *syscalls, unsigned family);
void syscalls_refuse(struct syscalls *syscalls, int call);

/* Allows netlink(7) sockets of one protocol. */
void syscalls_allow_netlink(struct syscalls *syscalls, unsigned protocol);

/* Allows what it takes to start a program, and what the iptables programs do. */
void syscalls_allow_iptables(struct syscalls *syscalls);

/* Puts the filter in force, and with it no_new_privs, and frees it. False with the reason
 * where it could not be made or loaded: the process must not go on then. */
bool syscalls_load(struct syscalls *syscalls, struct error *why);

/* Writes the filter to `fd` as the kernel takes it, an array of struct sock_filter, and frees it.
 * 0 or an errno. */
int syscalls_export(struct syscalls *syscalls, int fd);

#endif
