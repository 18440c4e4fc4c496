/* How the sniffer gives up everything. */
#ifndef PORTSMITH_SNIFFER_DROP_H
#define PORTSMITH_SNIFFER_DROP_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

/* Locks the process into the directory `empty` (owned by root, writable by
 * nobody else) and into a network namespace with nothing in it, forbids further
 * processes and core dumps, becomes the user and group, keeps no supplementary
 * group, no capability in any set, gains none by exec; then tries to get back
 * what it gave up. False with the reason: do not go on. */
bool sniffer_drop(const char *empty, uid_t uid, gid_t gid, struct error *why);

#endif
