/* A trial of Shut: portsmithd --trial shuts ports until a moment, unless it is started
 * for good by then. A file in the state directory, the marker of the trial, tells the starts
 * that come after which boot and process is, or was, on trial. Handing over removes it: where
 * it is left and nobody is on trial, what was tried was not kept. */
#ifndef PORTSMITH_TRIAL_H
#define PORTSMITH_TRIAL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/linux/boot.h"
#include "common/error.h"
#include "daemon/config/config.h"

enum { TRIAL_KEEP_SIZE = PATH_MAX + sizeof "portsmithd -c " };

enum trial_marker {
    TRIAL_NONE,
    TRIAL_OF_THIS_BOOT,
    TRIAL_OF_ANOTHER_BOOT, /* or it cannot be read */
};

/* Reads how long a trial lasts, 10s to 24h, as in timespan.h, into *seconds. False with the
 * reason. */
bool trial_parse_span(uint32_t *seconds, const char *text, struct error *why);

/* Returns the seconds until `end` (CLOCK_BOOTTIME, nanoseconds), rounded up and at least 1; 0 if
 * `end` is 0, as this is no trial. */
uint32_t trial_seconds_left(int64_t end);

/* Writes the command that keeps what is on trial, on this host and for this configuration file.
 * Returns `command`. */
const char *trial_keep(const char *config_path, char command[static TRIAL_KEEP_SIZE]);

/* Prints for people what is shut, until when, and how to keep it. */
void trial_announce(const struct config *config, const char *config_path, int64_t end);

/* Makes the marker for this boot and process, durably, and the state directory if it is
 * missing. False with the reason. */
bool trial_write_marker(const struct config *config, struct error *why);

/* Returns what the marker says. *pid is the process on trial with TRIAL_OF_THIS_BOOT, else 0. */
enum trial_marker trial_find_marker(const struct config *config, pid_t *pid);

/* Returns what a marker's content, of `size` bytes, says in the boot `boot_id`. *pid is as with
 * trial_find_marker. */
enum trial_marker trial_parse_marker(const char *content, size_t size,
                                 const char boot_id[static BOOT_ID_SIZE], pid_t *pid);

/* Removes the marker, durably; that there is none is no error. False with the reason. */
bool trial_remove_marker(const struct config *config, struct error *why);

/* Returns the pid of the portsmithd on trial that runs with this configuration; 0: none does. */
pid_t trial_runs(const struct config *config);

/* Has the portsmithd on trial end, with ports and live grants left as they are, and waits
 * for its end: as long as its helper may be waited for, and some more. False with the
 * reason. */
bool trial_take_over(const struct config *config, pid_t pid, struct error *why);

#endif
