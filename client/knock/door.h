/* The door that was knocked at: connecting until it lets somebody in. */
#ifndef PORTSMITH_DOOR_H
#define PORTSMITH_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "client/send.h"
#include "common/service.h"

enum { DOOR_SLOW = 4 }; /* seconds, after which `slow` is called */

/* The services to connect to, and the knocks that are to open them. The caller owns all of it. */
struct door {
    struct sending *sendings; /* the knocks, which are sent again, too */
    unsigned count;
    const struct service *services; /* TCP, at most REQUEST_SERVICES */
    unsigned service_count;
    struct knocker *knocker; /* signs knocks anew */
    /* Is called for each knock that was signed anew. NULL: nobody is. */
    void (*tell)(const struct sending *sending);
    /* Is called once, after DOOR_SLOW, if no door has let in by then; `error` is as in door_enter.
     * NULL: nobody is. */
    void (*slow)(const struct door *door, int error);
    bool unseen; /* the caller closes the connection at once: use source_connect_unseen */
};

/* Connects to the services at the addresses that were knocked at, from the addresses that the
 * knocks left from. The addresses' families take turns, 250 ms apart (RFC 8305, 4 and 5). Each
 * address is tried again and again (attempts.h) until one answers.
 *
 * Meanwhile the very same knocks are sent again, as they may be lost. Every 3 s one knock is
 * signed anew, for one address after the other: whoever else was knocked at may have passed the
 * first knock on before the server saw it. If somebody has to be asked for that (knocker->asks),
 * none is signed anew, unless connections leave from another address by now.
 *
 * Returns the first connected socket, which blocks and is the caller's to close. Returns -1
 * after so many seconds; *error is then ECONNREFUSED if connections were refused, another errno
 * if they failed otherwise, and 0 if nothing answered. */
int door_enter(const struct door *door, uint32_t seconds, int *error);

#endif
