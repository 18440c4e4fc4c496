/* The visitor: whoever connects to this machine's loopback, as each of its users can. */
#ifndef PORTSMITH_VISITOR_H
#define PORTSMITH_VISITOR_H

#include <stdbool.h>

#include "common/error.h"

/* Whether the other end of the connected TCP socket `fd` is a socket that this user or root has
 * made in this network namespace, and that a process still holds. The kernel says so
 * (sock_diag(7)). False with the reason, and what to do. */
bool visitor_is_own(int fd, struct error *why);

#endif
