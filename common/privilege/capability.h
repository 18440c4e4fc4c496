/* The capabilities that a process of root's needs to have. */
#ifndef PORTSMITH_CAPABILITY_H
#define PORTSMITH_CAPABILITY_H

#include <stdbool.h>

#include "common/error.h"

enum capability_use {
    CAPABILITY_FIREWALL, /* running iptables */
    CAPABILITY_DAEMON,   /* that, capturing, and having the others give up the rest */
};

/* Whether this process is root's, and has the capabilities that the use takes (capabilities(7))
 * over the network namespace that it is in. False with the reason: what is missing, and who can
 * give it. */
bool capability_check(enum capability_use use, struct error *why);

#endif
