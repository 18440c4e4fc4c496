/* The elements of the kernel's table (privsep/nftables/table.h) that a table of grants makes. A
 * door has one in each set that some grant of it is for, however many grants that are:
 * - It stays until the last of these ends. Where they admit only so many connections, it has the
 *   budget of all of them together, and has it anew whenever a knock changes it. The witness,
 *   which counts the connections of each grant, ends that one alone.
 * - Where grants send the door on to different hosts, it is sent on to the host of the newest one.
 *   Grants for another host let nothing in beyond its end, unless they are written anew then, with
 *   the next host: else the packets would reach this host's own port. */
#ifndef PORTSMITH_ELEMENTS_H
#define PORTSMITH_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "privsep/helper/grants.h"
#include "privsep/netwriter.h"
#include "privsep/nftables/table.h"
#include "privsep/plan.h"

struct elements {
    int fd;        /* a socket as of batch_send, the caller's */
    size_t most;   /* bytes that the kernel takes at once */
    bool destroys; /* as in element.h */
    bool in_use[TABLE_SETS]; /* some grant may be for it; only such sets have to be there */
    const void *messages; /* of the table as it is whatever is granted, to be made anew. They are
                             the plan's */
    size_t size;          /* bytes of those */
    const void *over;     /* what takes the place of the first `head` bytes, where that may be */
    size_t over_size, head;
    uint32_t (*find_left)(const struct door *door); /* of a budget, packets, where all is made
                                                       anew; NULL: all of it */
    struct netwriter batch; /* for any use between the calls */
};

/* Begins, with room at the socket `fd` for large batches where that may be. The plan must stay
 * mapped. */
void elements_open(struct elements *e, int fd, const struct plan *plan);

/* Makes the table anew, with all grants in it. At once, unless that is more than the kernel takes:
 * then what is granted comes bit by bit. 0 or an errno as of batch_send. */
int elements_establish(struct elements *e, const struct grants *grants);

/* Writes what has changed in a table of which no door has been forgotten (enum grants_change). 0 or
 * an errno: then nobody knows which part of it is in force. */
int elements_change(struct elements *e, const struct grants *grants);

#endif
