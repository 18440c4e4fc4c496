/* portsmith-profile init: what a host needs before the first profile. */
#ifndef PORTSMITH_SETUP_H
#define PORTSMITH_SETUP_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"

/* What the admin wants in a first configuration file. */
struct setup {
    struct config wishes; /* interfaces, port (0: a random one), services to shut; no others */
    bool any;             /* the admin wants something */
};

/* Makes what is missing of the configuration file, the directories, the server's key and the
 * user, and keeps what is there. Says on standard output what was made and what was kept. Returns
 * an exit status, with the reason in *why unless it is 0. */
int setup_run(const char *config_file, const struct setup *setup, struct error *why);

#endif
