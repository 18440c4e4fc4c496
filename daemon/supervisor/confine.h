/* The system calls that are left to the supervisor. */
#ifndef PORTSMITH_SUPERVISOR_CONFINE_H
#define PORTSMITH_SUPERVISOR_CONFINE_H

#include <stdbool.h>

#include "common/error.h"

/* Before the supervisor starts anything: leaves it what it, and the start of a sniffer and
 * of a helper, need; any other system call kills. False with the reason: do not go on. */
bool supervisor_confine(struct error *why);

#endif
