/* What the kernel tells of the table and its chains: handles, and how much there is in them. It is
 * to be compared with what it told before, and nothing in it is read. */
#ifndef PORTSMITH_GLANCE_H
#define PORTSMITH_GLANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/netwriter.h"

struct glance {
    size_t size; /* bytes */
    uint8_t bytes[6144];
};

/* Asks the kernel by a socket as that of batch_send. The writer's content is forgotten. 0 or an
 * errno. */
int glance_take(struct glance *glance, struct netwriter *w, int fd);

/* Whether the table is the same, and no chain or rule has been added or removed since. A rule
 * that has taken another's place is not seen. */
bool glance_is_same(const struct glance *a, const struct glance *b);

#endif
