/* The helper's privileges: given up once, for good, and proved gone. */
#ifndef PORTSMITH_HELPER_DROP_H
#define PORTSMITH_HELPER_DROP_H

#include <stdbool.h>

#include "common/error.h"

/* Keeps CAP_NET_ADMIN, and CAP_NET_RAW when `raw` (iptables-legacy opens a raw socket,
 * and either iptables does for sets), in every set, the bounding set too; sets
 * no_new_privs, so that uid 0 gains nothing back by executing a program; forbids core
 * dumps. Then reads back what the kernel holds. False with the reason: do not go on. */
bool helper_drop(bool raw, struct error *why);

#endif
