/* How portsmith-prepare, which becomes the helper, and portsmith-cut give up privileges: once, for
 * good, and with proof that they are gone. */
#ifndef PORTSMITH_HELPER_DROP_H
#define PORTSMITH_HELPER_DROP_H

#include <stdbool.h>

#include "common/error.h"

/* Keeps CAP_NET_ADMIN, and with `raw` CAP_NET_RAW, in every set, and no other capability in any,
 * the bounding set included. (iptables-legacy opens a raw socket, and either iptables does for
 * sets.) Sets no_new_privs, so that uid 0 gains nothing back by executing a program. Forbids core
 * dumps. Then reads back what the kernel holds. False with the reason: the process must not go on
 * then. */
bool helper_drop(bool raw, struct error *why);

#endif
