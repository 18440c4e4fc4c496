/* The connections to doors that the kernel's connection tracking knows, passed on to another host
 * or not: asked for, and forgotten. In the fixed structures of ctnetlink
 * (linux/netfilter/nfnetlink_conntrack.h). */
#ifndef PORTSMITH_TRACKED_H
#define PORTSMITH_TRACKED_H

#include "privsep/cut/doors.h"
#include "privsep/netlink.h"

/* Writes the question for all connections of a family, but for those that cannot be to a door of
 * the shared kind. An older kernel (before Linux 5.8) tells of those as well. */
void tracked_question(union question *q, enum family family, const struct shared *shared);

/* Has connection tracking forget the flows to the doors, some thousands at a time: *found says how
 * many there were. The kernel goes through all flows of a family once, until then (CLOCK_BOOTTIME)
 * at the latest. Flows that are over are among them, and do not count in *ended: for as long as
 * such a flow is known, whoever has a SYN cookie of it gets in with that again.
 * Returns 0 or an errno. `conntrack` is as netlink_ask has it. */
int tracked_forget(int *conntrack, const struct doors *doors, int64_t until, uint32_t *found,
                   uint32_t *ended);

#endif
