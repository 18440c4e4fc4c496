/* All privileges: given up once, for good, and proved gone. */
#ifndef PORTSMITH_POWERLESS_H
#define PORTSMITH_POWERLESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

/* Locks the process into the directory `empty` (owned by root, writable by nobody else) and into
 * a network namespace with nothing in it. Forbids further processes and core dumps, becomes the
 * user and group, and keeps no supplementary group and no capability in any set; exec gains none
 * either. Then tries to get back what was given up. False with the reason: the process must not
 * go on then. */
bool powerless_become(const char *empty, uid_t uid, gid_t gid, struct error *why);

#endif
