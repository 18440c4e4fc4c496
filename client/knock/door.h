/* Getting through a door that was knocked at: connecting until it lets in. */
#ifndef PORTSMITH_DOOR_H
#define PORTSMITH_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "client/send.h"
#include "common/service.h"

enum { DOOR_SLOW = 4 }; /* seconds */

/* Where to connect to. */
struct door {
    struct sending *sendings; /* the knocks; they are sent again, too */
    unsigned count;
    const struct service *services; /* TCP, at most REQUEST_SERVICES */
    unsigned service_count;
    const struct knocker *knocker; /* that signs them anew */
    void (*tell)(const struct sending *sending); /* of each that was; NULL: nobody */
    /* Is told once, after DOOR_SLOW, that nothing has let in yet, with the error so far; may be
     * NULL. */
    void (*slow)(const struct door *door, int error);
    bool unseen; /* the connection is to be closed at once: source_connect_unseen */
};

/* Connects to the services at the addresses that were knocked, families in
 * turn, 250 ms apart (RFC 8305, 4 and 5), and to each again and again (attempts.h)
 * until one answers, from the addresses that were knocked from. Meanwhile sends the very
 * same knocks again, for they may be lost, and every 3 s one that is signed anew, to one
 * address after the other: whoever else was knocked at may have passed the first knock on
 * before the server saw it. Returns the first connected socket, which blocks and is the
 * caller's, or -1 after so many seconds: *error is then ECONNREFUSED if connections were
 * refused, another errno if they failed otherwise, 0 if nothing answered. */
int door_enter(const struct door *door, uint32_t seconds, int *error);

#endif
