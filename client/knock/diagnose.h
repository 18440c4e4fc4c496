/* portsmith-knock --diagnose: why a knock may open nothing, as far as this machine can tell. */
#ifndef PORTSMITH_DIAGNOSE_H
#define PORTSMITH_DIAGNOSE_H

#include <stdint.h>

#include "client/server.h"

enum { EXIT_PROBLEMS = 4 };

/* Examines this machine and the way to the server, knocks, and tries to connect for so many
 * seconds. Prints what it finds, and what to do about that. The server file has been read.
 * `family` is AF_UNSPEC, AF_INET or AF_INET6. Returns EXIT_SUCCESS if there is no problem, else
 * EXIT_PROBLEMS. */
int diagnose_run(const struct server *server, int family, uint32_t seconds);

#endif
