/* What a process that holds secrets asks of the kernel for itself. */
#ifndef PORTSMITH_PROCESS_H
#define PORTSMITH_PROCESS_H

#include <stdbool.h>

#include "common/error.h"

/* Keeps this process's memory out of core dumps and out of the reach of ptrace(2): it is no
 * longer dumpable, and RLIMIT_CORE is 0. Children inherit the limit alone: execve(2) makes a
 * process dumpable again. False with the reason. */
bool process_forbid_core_dumps(struct error *why);

#endif
