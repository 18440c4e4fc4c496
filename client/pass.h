/* Giving a connection to the program that this one was started by: what ssh_config(5)
 * calls ProxyUseFdpass. */
#ifndef PORTSMITH_PASS_H
#define PORTSMITH_PASS_H

#include <stdbool.h>

#include "error.h"

/* Whether `in` and `out`, standard input and output, are one and the same Unix stream
 * socket: what ssh(1) makes for ProxyUseFdpass, where without it they are two pipes.
 * Others make that too (socat(1), sshd(8) for a command), so it must be possible to
 * say otherwise. */
bool pass_is_wanted(int in, int out);

/* Sends `fd` over the Unix socket `out` (SCM_RIGHTS, unix(7)), with one byte, as
 * ssh(1) receives it. `fd` remains the caller's. */
bool pass_descriptor(int out, int fd, struct error *why);

#endif
