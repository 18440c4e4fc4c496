/* Takes Portsmith's part of the firewall down. */
#ifndef PORTSMITH_RELEASE_H
#define PORTSMITH_RELEASE_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/message.h"

/* Removes every chain, rule and jump of Portsmith's from a back end. A back end that is not
 * installed, or not in use, needs nothing. False with the reason when something stays. */
bool helper_release(enum backend backend, struct error *why);

/* Does that for both back ends of iptables, and removes all sets and the table of nftables, which
 * the socket `table` may own. `in_use` is the back end that was in use, or BACKEND_AUTO.
 * Returns an exit status (HELPER_EXIT_*), with the reason in the log. */
int helper_release_all(enum backend in_use, int table);

/* Removes the rules of the back ends that are not `in_use`. To be called once the rules of that are
 * in force: until then those of the other one shut the ports. Returns an exit status. */
int helper_release_other(enum backend in_use, int table);

#endif
