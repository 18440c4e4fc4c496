/* A bell that rings when somebody else changed the nftables of this network
 * namespace. What changed is never read: the firewall is looked at instead. */
#ifndef PORTSMITH_BELL_H
#define PORTSMITH_BELL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "error.h"

/* A non-blocking descriptor to poll, or -1 with the reason. Needs CAP_NET_ADMIN. */
int helper_bell_open(struct error *why);

/* Empties the queue. True when a change by a process that is not among `own`
 * was in it, or when changes were lost. */
bool helper_bell_rang(int fd, const pid_t *own, size_t count);

#endif
