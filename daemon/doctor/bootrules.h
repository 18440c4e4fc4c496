/* What the doctor finds in the files that other firewalls load at boot, which may have been saved
 * while Portsmith's rules were there. The files are read, and not changed. */
#ifndef PORTSMITH_BOOTRULES_H
#define PORTSMITH_BOOTRULES_H

#include "daemon/doctor/findings.h"

/* Finds three kinds of files. Files of iptables-save(8) may name a set of Portsmith's, which is
 * not there until portsmithd has started. Files of nft(8) may hold Portsmith's rules, which nft
 * lists in words that it cannot read. And files of nft(8) may be loaded now that would hold these
 * rules once "nft list ruleset" is saved to them. */
void bootrules_examine(struct findings *f);

#endif
