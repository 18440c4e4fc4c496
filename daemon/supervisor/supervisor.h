/* The supervisor. It runs as root, is idle, and reads nothing that came from the network. It keeps
 * a pair running, answers signals, and brings in new configurations. */
#ifndef PORTSMITH_SUPERVISOR_H
#define PORTSMITH_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config/config.h"

struct supervisor_options {
    const char *config_path;
    bool foreground, debug, trace;
    bool in_journal; /* standard error leads to the journal, which log lines reach by themselves */
    int64_t trial_end; /* CLOCK_BOOTTIME, nanoseconds: then all is undone; 0: this is no trial */
    int ready; /* a byte is written there when the first pair serves; -1: nobody waits for it */
};

/* Runs until SIGTERM, SIGINT, SIGQUIT or the end of the trial. Frees `config`.
 * Returns the exit status: 0 after a stop, 1 or 78 when the first pair cannot start. */
int supervisor_run(const struct supervisor_options *options, struct config *config);

#endif
