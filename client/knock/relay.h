/* Carrying bytes between a connection and a pair of descriptors. */
#ifndef PORTSMITH_RELAY_H
#define PORTSMITH_RELAY_H

#include <stdbool.h>

#include "common/error.h"

/* Carries what comes from `in` to the connected socket and what comes from that to
 * `out`, until both have ended. The end of one is told to the other side at once
 * (shutdown(2); `out` is closed), while the other direction goes on. What cannot be
 * written yet is held back in 32 KiB for each direction, and no more is read. `in` and
 * `out` may be shared with others: their flags stay as they are. False with the reason
 * if reading or writing fails; SIGPIPE must be ignored. Closes none but `out`. */
bool relay_run(int in, int out, int socket, struct error *why);

#endif
