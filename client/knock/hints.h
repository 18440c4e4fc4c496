/* Why a door that was knocked at may still be shut. */
#ifndef PORTSMITH_HINTS_H
#define PORTSMITH_HINTS_H

#include "client/knock/door.h"

typedef void hints_teller(const char *hint);

/* Calls `tell` with each likely cause, a line of text that is valid during the call: how
 * connections failed (`error` is door_enter's), a clock that the kernel calls unsynchronised
 * (adjtimex(2)), addresses that the server may see otherwise, and what cannot be seen from
 * here. */
void hints_tell(const struct door *door, int error, hints_teller *tell);

#endif
