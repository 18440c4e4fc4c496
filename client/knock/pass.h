/* Giving a connection to the program that this one was started by: what ssh_config(5)
 * calls ProxyUseFdpass. */
#ifndef PORTSMITH_PASS_H
#define PORTSMITH_PASS_H

#include <stdbool.h>

#include "common/error.h"

/* Whether a descriptor can be passed over `out`: whether it is a Unix stream socket. */
bool pass_is_possible(int out);

/* Whether `in` and `out`, standard input and output, are one and the same Unix stream
 * socket, and the parent process is OpenSSH's ssh(1). That makes them so for
 * ProxyUseFdpass alone, and two pipes without it; it has the user's shell run its
 * ProxyCommand by "exec", so that it is the parent itself. Others make one socket for
 * both ends and want bytes: libssh, socat(1), sshd(8) for a command. */
bool pass_is_expected(int in, int out);

/* Sends `fd` over the Unix socket `out` (SCM_RIGHTS, unix(7)), with one byte, as
 * ssh(1) receives it. `fd` remains the caller's. */
bool pass_descriptor(int out, int fd, struct error *why);

#endif
