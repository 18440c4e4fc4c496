/* The system calls that are left to the sniffer. */
#ifndef PORTSMITH_SNIFFER_CONFINE_H
#define PORTSMITH_SNIFFER_CONFINE_H

#include <stdbool.h>

#include "common/error.h"

/* From here on the process may wait, receive, look at the clock and at an interface's flags,
 * manage its memory, write to standard error, send on the descriptor `peer` alone, and exit. Any
 * other system call kills it. So it cannot send frames on an open capture either, which takes no
 * capability. False with the reason: the process must not go on then. */
bool sniffer_confine(int peer, struct error *why);

#endif
