/* portsmith-profile init: what a host needs before the first profile. */
#ifndef PORTSMITH_SETUP_H
#define PORTSMITH_SETUP_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"

/* What goes into a first configuration file: interfaces, port (0: a random
 * one) and services to shut, each empty where nothing was asked for. */
struct setup {
    struct config wishes;
    bool any; /* something was asked for */
};

/* Makes what is missing of the configuration file, the directories, the
 * server's key and the user, keeps what is there, and says on standard output
 * which of the two each time. Returns an exit status; the reason is in *why
 * unless it is 0. */
int setup_run(const char *config_file, const struct setup *setup, struct error *why);

#endif
