/* The doors whose connections end: an address and a service each. */
#ifndef PORTSMITH_DOORS_H
#define PORTSMITH_DOORS_H

#include <stdbool.h>
#include <stddef.h>

#include "privsep/cut/cutmessage.h"

struct doors {
    struct cut_door items[CUT_DOORS_MAX]; /* ascending; the same may be there twice */
    size_t count;
};

/* Adds a door. False if that is no door of a sound supervisor's: of another deed, below the one
 * before, or one too many. */
bool doors_add(struct doors *doors, const struct cut_door *door);

/* Whether what `from` has with `to` came in by one of the doors. */
bool doors_have(const struct doors *doors, const struct address *from, const struct service *to);

/* What all doors that were met have in common. The kernel compares that itself, and so tells of
 * little else. */
struct shared {
    size_t met;
    const struct address *address; /* NULL: they differ */
    uint8_t protocol;              /* 0: they differ */
    uint16_t port;                 /* 0: they differ */
};

void doors_share(struct shared *shared, const struct cut_door *door);

#endif
