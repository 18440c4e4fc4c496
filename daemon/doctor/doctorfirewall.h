/* What the doctor finds in the firewall: it reads the rules by iptables-save(8), has
 * iptables-restore(8) test what Portsmith needs, and changes nothing. */
#ifndef PORTSMITH_DOCTORFIREWALL_H
#define PORTSMITH_DOCTORFIREWALL_H

#include "daemon/config/config.h"
#include "daemon/doctor/findings.h"

/* `config` may lack its profiles; `backend`: the one to examine, with BACKEND_AUTO the one
 * that `iptables` is on this host; `runs`: the daemon does, so its rules have to be there. */
void doctorfirewall_examine(struct findings *f, const struct config *config,
                            enum backend backend, bool runs);

#endif
