/* The process that portsmith-firewall(8) leaves in the background, to put back what was
 * confirmed when another program removes it: the one that holds a lock on
 * /run/portsmith/firewall.keeper (fcntl(2), whose locks tell who holds them). Wherever
 * RunDirectory is: a host has one firewall, and whoever removes all rules because the
 * configuration is broken must find it. */
#ifndef PORTSMITH_KEEPER_H
#define PORTSMITH_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

#define KEEPER_FILE "/run/portsmith/firewall.keeper"

/* Makes the calling process the keeper, until its end; the one before is ended first.
 * False with the reason: also where that one has not ended within five seconds. */
bool keeper_become(struct error *why);

/* Whether keeper_find still finds the keeper that calls: false once its file was removed. */
bool keeper_can_be_found(void);

/* Who it is; 0: there is none, or the caller may not know. */
pid_t keeper_find(void);

/* Ends it, if there is one. */
void keeper_end(void);

#endif
