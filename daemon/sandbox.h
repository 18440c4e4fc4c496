/* The system calls that are left to the sniffer once it listens. */
#ifndef PORTSMITH_SANDBOX_H
#define PORTSMITH_SANDBOX_H

#include <stdbool.h>

#include "error.h"

/* From here on the process may wait, receive, look at the clock, send on the
 * descriptor `peer` alone, and exit; any other system call kills it. That also
 * closes what no capability guards: sending frames on an open capture. Needs
 * no_new_privs. False with the reason: do not go on. */
bool sandbox_enter(int peer, struct error *why);

#endif
