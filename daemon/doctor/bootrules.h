/* What other programs load at boot, from files that were saved while Portsmith's rules were
 * there: for the doctor. It reads, and changes nothing. */
#ifndef PORTSMITH_BOOTRULES_H
#define PORTSMITH_BOOTRULES_H

#include "daemon/doctor/findings.h"

/* Finds files of iptables-save(8) that name a set of Portsmith's, which is not there before
 * portsmithd has started; files of nft(8) that hold its rules, which nft lists in words
 * that it does not read; and such as are one "nft list ruleset" away from that. */
void bootrules_examine(struct findings *f);

#endif
