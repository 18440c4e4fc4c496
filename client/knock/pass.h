/* How a connection is passed to the program that started this one: what ssh_config(5) calls
 * ProxyUseFdpass. */
#ifndef PORTSMITH_PASS_H
#define PORTSMITH_PASS_H

#include <stdbool.h>

#include "common/error.h"

/* Whether a descriptor can be passed over `out`, which must be a Unix stream socket. False with the
 * reason, and what to do. */
bool pass_is_possible(int out, struct error *why);

/* Whether standard input and output, `in` and `out`, are one and the same Unix stream socket,
 * and the parent process is OpenSSH's ssh(1). ssh makes one socket of the two for
 * ProxyUseFdpass alone; it makes two pipes otherwise. It has the user's shell run its
 * ProxyCommand by "exec", so that ssh is the parent itself. Other programs make one socket of
 * the two and want bytes: libssh, socat(1), and sshd(8) for a command. */
bool pass_is_expected(int in, int out);

/* Sends `fd` over the Unix socket `out` (SCM_RIGHTS, unix(7)), with one byte, as ssh(1) wants to
 * receive it. The caller still closes `fd`. False with the reason. */
bool pass_descriptor(int out, int fd, struct error *why);

#endif
