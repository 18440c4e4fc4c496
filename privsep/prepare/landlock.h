/* Which files the helper, and the iptables programs that it runs, can reach. uid 0 owns /etc, so
 * that a lack of capabilities alone does not keep the helper from writing there. */
#ifndef PORTSMITH_LANDLOCK_H
#define PORTSMITH_LANDLOCK_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/xtables/probe.h"

/* From here on the process and its children may run the helper and the programs that were `found`,
 * read libraries and what those look up in /etc, lock /run/xtables.lock, and write into their two
 * directories (descriptors of message.h). They can reach no other file. Where the kernel can
 * forbid it, they neither use TCP nor send signals to other processes (landlock(7)). Needs
 * no_new_privs. At HELPER_FD_LANDLOCK are then rules without the helper and the two directories,
 * for the helper to put in force; with BACKEND_NFTABLES they allow nothing. A kernel without
 * Landlock is named in the log and is no failure. False with the reason: the process must not go
 * on then. */
bool helper_landlock_enter(const struct xtables *found, struct error *why);

#endif
