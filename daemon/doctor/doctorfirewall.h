/* What the doctor finds in the firewall. It reads the rules by iptables-save(8) and nft(8), and
 * has iptables-restore(8) test what Portsmith needs. It changes nothing. */
#ifndef PORTSMITH_DOCTORFIREWALL_H
#define PORTSMITH_DOCTORFIREWALL_H

#include "daemon/config/config.h"
#include "daemon/doctor/findings.h"

/* Makes all checks of the firewall. `config` may lack its profiles. `backend` is the one to
 * examine; BACKEND_AUTO: the one that `iptables` is on this host. `runs`: portsmithd runs, so its
 * rules have to be there. */
void doctorfirewall_examine(struct findings *f, const struct config *config,
                            enum backend backend, bool runs);

#endif
