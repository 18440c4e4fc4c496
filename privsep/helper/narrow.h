/* The last that the helper gives up: what only its start needed. Until then it is confined as
 * portsmith-prepare was. */
#ifndef PORTSMITH_NARROW_H
#define PORTSMITH_NARROW_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/plan.h"

/* Puts in force the Landlock rules at HELPER_FD_LANDLOCK, if there are any, and the plan's filter
 * of system calls. Both hold for the iptables programs, too. From then on this process can narrow
 * itself no further. False with the reason: it must not go on then. */
bool helper_narrow(const struct plan *plan, struct error *why);

#endif
