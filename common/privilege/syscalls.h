/* System call filters (seccomp): what a process, and whatever it starts, may
 * still ask of the kernel. Everything that was neither allowed nor refused
 * kills the process; in a debug build that runs in the foreground it is named on
 * standard error first.
 *
 * A filter can only be made tighter by a later one: the supervisor's holds for
 * the sniffer and the helper too, the helper's for the iptables programs. */
#ifndef PORTSMITH_SYSCALLS_H
#define PORTSMITH_SYSCALLS_H

#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#ifdef PORTSMITH_NAME_CALLS
enum { FILTER_NAMES_CALLS = 1, FILTER_EXIT_STATUS = 159 /* as a shell tells SIGSYS */ };
#else
enum { FILTER_NAMES_CALLS = 0 };
#endif

/* One that is being made. A failure is kept and told by filter_load. */
struct filter {
    scmp_filter_ctx context;
    int error; /* negative errno */
};

void filter_begin(struct filter *filter);

/* Allows `count` system calls, whatever their arguments. */
void filter_allow(struct filter *filter, const int *calls, size_t count);

/* Allows a call whose argument number `index`, of 32 bits, has `value` in the
 * bits of `mask`. */
void filter_allow_masked(struct filter *filter, int call, unsigned index, unsigned mask,
                         unsigned value);

/* Allows sockets of a family and a type (SOCK_DGRAM and so on). */
void filter_allow_socket(struct filter *filter, unsigned family, unsigned type);

/* Answers EACCES where a library asks that can do without: to sockets of a family,
 * to a system call. */
void filter_refuse_socket(struct filter *filter, unsigned family);
void filter_refuse(struct filter *filter, int call);

/* Allows netlink(7) sockets of one protocol. */
void filter_allow_netlink(struct filter *filter, unsigned protocol);

/* Allows what it takes to start a program, and what the iptables programs do. */
void filter_allow_iptables(struct filter *filter);

/* From here on the filter holds, and with it no_new_privs. Frees it. False with
 * the reason: do not go on. */
bool filter_load(struct filter *filter, struct error *why);

#endif
