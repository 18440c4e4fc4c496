/* portsmith-knock --diagnose: why a knock may open nothing, as far as it shows here. */
#ifndef PORTSMITH_DIAGNOSE_H
#define PORTSMITH_DIAGNOSE_H

#include <stdint.h>

#include "client/server.h"

enum { EXIT_PROBLEMS = 4 };

/* Examines this machine and the way to the server, whose file was read, knocks, connects
 * for so many seconds, and prints what it finds and what to do about that. `family` is
 * AF_UNSPEC, AF_INET or AF_INET6. Returns EXIT_SUCCESS if there is no problem, or
 * EXIT_PROBLEMS. */
int diagnose_run(const struct server *server, int family, uint32_t seconds);

#endif
