/* The supervisor: root, idle, reads nothing that came from the network. Keeps
 * a pair running, answers signals, brings in new configurations. */
#ifndef PORTSMITH_SUPERVISOR_H
#define PORTSMITH_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config/config.h"

struct supervisor_options {
    const char *config_path;
    bool foreground, debug, trace;
    bool in_journal; /* that is where standard error leads: it is told more by itself */
    int64_t trial_end; /* CLOCK_BOOTTIME, nanoseconds: then all is undone; 0: never */
    int ready; /* one byte is written when the first pair serves; -1: nobody waits */
};

/* Runs until SIGTERM, SIGINT, SIGQUIT or the end of the trial; takes ownership of `config`.
 * Returns the exit status: 0 after a stop, 1 or 78 when the first pair cannot start. */
int supervisor_run(const struct supervisor_options *options, struct config *config);

#endif
