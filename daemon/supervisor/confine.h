/* The system calls that are left to the supervisor. */
#ifndef PORTSMITH_SUPERVISOR_CONFINE_H
#define PORTSMITH_SUPERVISOR_CONFINE_H

#include <stdbool.h>

#include "common/error.h"

/* Leaves the supervisor the system calls that it needs, and that those whom it starts need until
 * they confine themselves. Any other call kills the process. Called before the supervisor starts
 * anything. False with the reason: the process must not go on then. */
bool supervisor_confine(struct error *why);

#endif
