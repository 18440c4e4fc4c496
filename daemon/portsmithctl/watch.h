/* portsmithctl watch: prints what opens and what ends as it happens, a line each. */
#ifndef PORTSMITH_WATCH_H
#define PORTSMITH_WATCH_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"

/* Looks once a second, and prints what has changed. True when it was ended by SIGINT or SIGTERM,
 * or when nobody reads standard output any more. False with the reason when portsmithd stops or
 * does not answer. */
bool watch_run(const struct config *config, bool json, struct error *why);

#endif
