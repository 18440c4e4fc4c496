/* What is left to portsmith-cut once its sockets are open. */
#ifndef PORTSMITH_CUT_CONFINE_H
#define PORTSMITH_CUT_CONFINE_H

#include <stdbool.h>

#include "common/error.h"

/* Leaves the process CAP_NET_ADMIN alone, and no system calls but those by which it talks on the
 * descriptors that it has. Any other call, one that opens something too, kills it. To be called
 * before anything is read. False with the reason: the process must not go on then. */
bool cut_confine(struct error *why);

#endif
