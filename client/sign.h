/* How a knock of the user's own is signed: by the identity, or by an ssh-agent. */
#ifndef PORTSMITH_SIGN_H
#define PORTSMITH_SIGN_H

#include <stdbool.h>

#include "client/compose.h"
#include "common/error.h"

/* Signs the request, which must be valid as request_encode wants it. An agent may take its time:
 * a request whose counter is KNOCK_FRESH old gets a new one of the user's own before the agent is
 * asked. If it is as old when the signature comes, it gets a new one again, and a new signature,
 * once. A knocker whose agent was slow, even to refuse, `asks` from then on. False with the reason if
 * there is no such signature. */
bool knock_sign(struct signature *signature, struct knocker *knocker, struct request *request,
                struct error *why);

enum { KNOCK_FRESH = 30 }; /* seconds */

#endif
