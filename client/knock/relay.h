/* The relay, which carries bytes between a connection and a pair of descriptors. */
#ifndef PORTSMITH_RELAY_H
#define PORTSMITH_RELAY_H

#include <stdbool.h>

#include "common/error.h"

/* Carries what comes from `in` to the connected socket, and what comes from the socket to
 * `out`, until both directions have ended. When one direction ends, its receiver is told at
 * once (shutdown(2); `out` is closed), while the other direction goes on. Each direction holds
 * 32 KiB that cannot be written yet, and reads no more meanwhile. `in` and `out` may be shared
 * with other processes, so their flags are not changed. SIGPIPE is ignored from then on. Closes no
 * descriptor but `out`. False with the reason if reading or writing fails. */
bool relay_run(int in, int out, int socket, struct error *why);

#endif
