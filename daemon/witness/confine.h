/* The system calls that are left to the witness. */
#ifndef PORTSMITH_WITNESS_CONFINE_H
#define PORTSMITH_WITNESS_CONFINE_H

#include <stdbool.h>

#include "common/error.h"

/* From here on the process may wait, receive, send, read at an offset, write to standard error,
 * look at the clock, manage its memory, and exit. Any other system call kills it, but that it may
 * try to connect to a log in vain. What it may send on its sockets of netlink the kernel refuses,
 * as it has no capability. False with the reason: the process must not go on then. */
bool witness_confine(struct error *why);

#endif
