/* Plans by iptables-restore(8), which is run by its absolute path. */
#ifndef PORTSMITH_VIA_IPTABLES_H
#define PORTSMITH_VIA_IPTABLES_H

#include "daemon/portsmith-firewall/way.h"

extern const struct way via_iptables;

/* Removes the rules from a family by this program. What went wrong is in *why. */
enum restore_result via_iptables_remove(const char *path, struct error *why);

#endif
