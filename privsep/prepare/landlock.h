/* Which files the helper, and the iptables programs that it runs, can reach:
 * uid 0 owns /etc, so capabilities alone do not keep it from writing there. */
#ifndef PORTSMITH_LANDLOCK_H
#define PORTSMITH_LANDLOCK_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/xtables/probe.h"

/* From here on the process and its children may run the programs that were
 * `found`, read libraries and what those look up in /etc, lock /run/xtables.lock,
 * write into its two directories (descriptors of message.h), and
 * nothing else; where the kernel can, no TCP and no signal to other processes
 * either. Needs no_new_privs. A kernel without Landlock is named in the log and
 * is no failure. False with the reason: do not go on. landlock(7) */
bool helper_landlock_enter(const struct xtables *found, struct error *why);

/* Whether the xtables lock is another file than when this process was confined, or
 * gone: neither this process nor what it runs can have it then. */
bool helper_landlock_lost_lock(void);

#endif
