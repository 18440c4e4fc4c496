/* What back ends are called. The helper has no use for it. */
#ifndef PORTSMITH_BACKEND_H
#define PORTSMITH_BACKEND_H

#include "privsep/message.h"

/* The word for it in portsmith.conf and for people; "auto" also for what is none of them. */
const char *backend_name(enum backend backend);

#endif
