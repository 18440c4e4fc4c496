/* Getting through a door that was knocked at: connecting until it lets in. */
#ifndef PORTSMITH_DOOR_H
#define PORTSMITH_DOOR_H

#include <stdint.h>

#include "send.h"
#include "service.h"

/* Where to connect to. */
struct door {
    struct sending *sendings; /* the knocks; they are sent again, too */
    unsigned count;
    const struct service *services; /* TCP, at most REQUEST_SERVICES */
    unsigned service_count;
};

/* Connects to the services at the addresses that were knocked, families in
 * turn, 250 ms apart (RFC 8305, 4 and 5), and to each again and again (attempts.h)
 * until one answers; meanwhile sends the very same knocks again, for they may be
 * lost. Returns the first connected socket, which blocks and is the caller's, or -1
 * after so many seconds: *error is then ECONNREFUSED if connections were refused,
 * another errno if they failed otherwise, 0 if nothing answered. */
int door_enter(const struct door *door, uint32_t seconds, int *error);

#endif
