/* The system calls that are left to the sniffer. */
#ifndef PORTSMITH_SNIFFER_CONFINE_H
#define PORTSMITH_SNIFFER_CONFINE_H

#include <stdbool.h>

#include "common/error.h"

/* From here on the process may wait, receive, look at the clock and at an
 * interface's flags, manage its memory, write to standard error, send on the
 * descriptor `peer` alone, and exit; any other system call kills it. That also
 * closes what no capability guards: sending frames on an open capture. False with
 * the reason: do not go on. */
bool sniffer_confine(int peer, struct error *why);

#endif
