/* Takes Portsmith's part of the firewall down. */
#ifndef PORTSMITH_RELEASE_H
#define PORTSMITH_RELEASE_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/message.h"

/* Removes every chain, rule and jump of Portsmith's from a back end. A back end that is not
 * installed, or not in use, needs nothing. False with the reason when something stays. */
bool helper_release(enum backend backend, struct error *why);

#endif
