/* Filters of system calls (seccomp): what a process, and whatever it starts, may still ask of
 * the kernel. A system call that was neither allowed nor refused kills the process. A debug
 * build in the foreground names the call on standard error first.
 *
 * A later filter can only tighten an earlier one: the supervisor's filter holds for the sniffer
 * and the helper, too, and the helper's for the iptables programs. */
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

/* A filter that is being made. filter_load tells the first failure. */
struct filter {
    scmp_filter_ctx context; /* owned, until filter_load */
    int error;               /* the first failure, as a negative errno; 0: there is none */
};

/* Begins a filter that allows nothing. filter_load ends it. */
void filter_begin(struct filter *filter);

/* Allows `count` system calls, whatever their arguments. */
void filter_allow(struct filter *filter, const int *calls, size_t count);

/* Allows a system call whose argument number `index`, of 32 bits, has `value` in the bits of
 * `mask`. */
void filter_allow_masked(struct filter *filter, int call, unsigned index, unsigned mask,
                         unsigned value);

/* Allows sockets of a family and a type, such as AF_INET and SOCK_DGRAM. */
void filter_allow_socket(struct filter *filter, unsigned family, unsigned type);

/* Answers EACCES to sockets of a family, for a library that asks for them and can do without. */
void filter_refuse_socket(struct filter *filter, unsigned family);

/* Answers EACCES to a system call, for a library that can do without. */
void filter_refuse(struct filter *filter, int call);

/* Allows netlink(7) sockets of one protocol, such as NETLINK_ROUTE. */
void filter_allow_netlink(struct filter *filter, unsigned protocol);

/* Allows what it takes to start a program, and what the iptables programs do. */
void filter_allow_iptables(struct filter *filter);

/* Puts the filter, and no_new_privs with it, into force, and frees it. False with the reason; the
 * process must then not go on. */
bool filter_load(struct filter *filter, struct error *why);

#endif
