/* portsmithctl doctor: finds the usual causes of knocks that do not open, and changes nothing. */
#ifndef PORTSMITH_DOCTOR_H
#define PORTSMITH_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

enum { EXIT_PROBLEMS = 4 };

/* Examines this host and the portsmithd of the configuration file at `path`, whether or not it
 * runs, and prints what it finds, as JSON if `json`. For root. `statuses` are files, `count` of
 * them, with which the host is compared: doctorgroup_examine. Returns an exit status of
 * portsmithctl(8): EXIT_PROBLEMS if there is a problem. */
int doctor_run(const char *path, bool json, char *const *statuses, size_t count);

#endif
