/* portsmithctl watch: what opens and what ends, a line each, as it happens. */
#ifndef PORTSMITH_WATCH_H
#define PORTSMITH_WATCH_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"

/* Looks once a second, and prints what has changed, until SIGINT, SIGTERM, or nobody
 * reads any more: true then. False with the reason when portsmithd stops or does not
 * answer. */
bool watch_run(const struct config *config, bool json, struct error *why);

#endif
