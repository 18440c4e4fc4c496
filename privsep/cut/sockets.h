/* This host's own TCP connections to doors, ended so that both ends know of it (sock_diag(7)). */
#ifndef PORTSMITH_SOCKETS_H
#define PORTSMITH_SOCKETS_H

#include "privsep/cut/doors.h"

enum { REFUSED_MAX = 256 }; /* sockets that the kernel does not end; then others are left, too */

/* The sockets that the kernel would not end, and which it goes on telling of: before Linux
 * 6.11 or so, those that have no process any more. */
struct refused {
    uint32_t cookies[REFUSED_MAX][2];
    size_t count;
    int error; /* of the last */
};

/* Ends the sockets with a connection to a door, some thousands at a time: *found says how many
 * there were, without those that were refused. Returns 0 or an errno. `sockets` is as netlink_ask
 * has it, and `until` as netlink_ask_until. */
int sockets_end(int *sockets, const struct doors *doors, int64_t until, struct refused *refused,
                uint32_t *found, uint32_t *ended);

#endif
