/* A bell that rings when another process changed the nftables of this network namespace.
 * What it changed is never read: the firewall is looked at instead. Who changed it is
 * read, for the log alone. */
#ifndef PORTSMITH_BELL_H
#define PORTSMITH_BELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

/* A non-blocking descriptor to poll, or -1 with the reason. Needs CAP_NET_ADMIN. */
int bell_open(struct error *why);

enum { BELL_NAME_SIZE = 16 }; /* TASK_COMM_LEN */

/* Who changed nftables. */
struct bell_ringer {
    uint32_t pid; /* as the first pid namespace has it; 0: not known */
    char name[BELL_NAME_SIZE]; /* printable, without blanks */
};

/* Empties the queue. True when it had a change by a process that is not among `own`, or when
 * changes were lost. *last is then the last such process that is known, or nobody (pid 0)
 * where changes were lost. */
bool bell_rang(int fd, const uint32_t *own, size_t count, struct bell_ringer *last);

#endif
