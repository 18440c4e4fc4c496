/* What back ends are called. The helper has no use for it. */
#ifndef PORTSMITH_BACKEND_H
#define PORTSMITH_BACKEND_H

#include "common/error.h"
#include "privsep/message.h"

/* The word for it in portsmith.conf and for people; "auto" also for what is none of them. */
const char *backend_name(enum backend backend);

/* Says in *why that BACKEND_AUTO can be none: what iptables lacks, and what nftables. False. */
bool backend_none(const struct error *iptables, const struct error *nftables, struct error *why);

/* Adds to *why, which ends with what to do, that another back end was tried and works. */
void backend_advise(struct error *why, enum backend instead);

#endif
