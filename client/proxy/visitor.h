/* Who connects to this machine's own loopback: every user of it can. */
#ifndef PORTSMITH_VISITOR_H
#define PORTSMITH_VISITOR_H

#include <stdbool.h>

#include "common/error.h"

/* Whether the other end of this connected TCP socket is a socket that this user or root made,
 * in this network namespace, and that a process still holds. That is asked of the kernel
 * (sock_diag(7)). False with the reason and what to do. */
bool visitor_is_own(int fd, struct error *why);

#endif
