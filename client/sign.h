/* How a knock of the user's own is signed: by the identity, or by an ssh-agent. */
#ifndef PORTSMITH_SIGN_H
#define PORTSMITH_SIGN_H

#include <stdbool.h>

#include "client/compose.h"
#include "common/error.h"

/* Signs the request, which must be valid as request_encode wants it. An agent may take its time: if
 * its signature came KNOCK_FRESH after the request's counter, the request gets a new counter of the
 * user's own, and a new signature, once. A knocker whose agent was slow `asks` from then on. False
 * with the reason if there is no such signature. */
bool knock_sign(struct signature *signature, struct knocker *knocker, struct request *request,
                struct error *why);

enum { KNOCK_FRESH = 30 }; /* seconds */

#endif
