/* What a process of root's is let do. */
#ifndef PORTSMITH_CAPABILITY_H
#define PORTSMITH_CAPABILITY_H

#include <stdbool.h>

#include "common/error.h"

enum capability_use {
    CAPABILITY_FIREWALL, /* to run iptables */
    CAPABILITY_DAEMON,   /* besides: to capture, and to have sniffer and helper give up the rest */
};

/* Whether this process is root's and has the capabilities that the use takes
 * (capabilities(7)), and has them over the network namespace that it is in; else what is
 * missing, and who can give it, is in *why. */
bool capability_check(enum capability_use use, struct error *why);

#endif
