/* What is left to the helper once it has probed the firewall. */
#ifndef PORTSMITH_HELPER_CONFINE_H
#define PORTSMITH_HELPER_CONFINE_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/xtables/probe.h"

/* Gives up capabilities (drop.h), files (landlock.h), descriptors beyond a few, and every system
 * call but those of the helper's loop and of the iptables programs that were `found`. Any other
 * call kills. All of it holds for these programs, too. They need CAP_NET_RAW with sets, as
 * iptables-legacy always does. False with the reason: the process must not go on then. */
bool helper_confine(const struct xtables *found, bool uses_sets, struct error *why);

#endif
