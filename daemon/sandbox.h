/* The system calls that are left to the supervisor and to the sniffer. */
#ifndef PORTSMITH_SANDBOX_H
#define PORTSMITH_SANDBOX_H

#include <stdbool.h>

#include "error.h"

/* For the supervisor, before it starts anything: what it, and the start of a
 * sniffer and of a helper, need. False with the reason: do not go on. */
bool sandbox_enter_as_supervisor(struct error *why);

/* From here on the process may wait, receive, look at the clock and at an
 * interface's flags, manage its memory, write to standard error, send on the
 * descriptor `peer` alone, and exit; any other system call kills it. That also
 * closes what no capability guards: sending frames on an open capture. False with
 * the reason: do not go on. */
bool sandbox_enter_as_sniffer(int peer, struct error *why);

#endif
