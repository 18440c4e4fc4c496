/* The keeper: a process that portsmith-firewall(8) leaves in the background. It puts back what
 * was confirmed when another program removes it. The keeper is the process that holds a lock on
 * KEEPER_FILE (fcntl(2), whose locks tell who holds them). That file is the same wherever
 * RunDirectory is: a host has one firewall, and a command that removes all rules must find the
 * keeper even where the configuration is broken. */
#ifndef PORTSMITH_KEEPER_H
#define PORTSMITH_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

#define KEEPER_FILE "/run/portsmith/firewall.keeper"

/* Makes the calling process the keeper until it ends. An earlier keeper is ended first. False
 * with the reason, also where that one has not ended within five seconds. */
bool keeper_become(struct error *why);

/* For the keeper alone: whether keeper_find still finds it. False once its file was removed. */
bool keeper_can_be_found(void);

/* The keeper's process id; 0: there is none, or the caller may not know. */
pid_t keeper_find(void);

/* Ends the keeper, if there is one. */
void keeper_end(void);

#endif
