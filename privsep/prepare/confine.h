/* What is left to portsmith-prepare once it has probed the firewall, and to the helper. */
#ifndef PORTSMITH_HELPER_CONFINE_H
#define PORTSMITH_HELPER_CONFINE_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/message.h"
#include "privsep/xtables/probe.h"

/* Gives up capabilities (drop.h), files (landlock.h), descriptors beyond a few, and every system
 * call but those that are left to do until the helper serves, those of its loop, and those of the
 * iptables programs that were `found`. Any other call kills. All of it holds for these programs,
 * too, and for the helper, which goes on to give up what only its start needs. They need
 * CAP_NET_RAW with sets, as iptables-legacy always does; with BACKEND_NFTABLES there are none.
 * False with the reason: the process must not go on then. */
bool helper_confine(const struct xtables *found, bool uses_sets, struct error *why);

/* Writes to `fd` the filter of system calls that the helper puts in force (plan.h). With
 * BACKEND_NFTABLES it runs nothing, opens nothing, and gets no memory that can be run. 0 or an
 * errno. */
int helper_export_filter(int fd, enum backend backend);

#endif
