/* portsmithctl doctor: the usual causes of knocks that do not open. It only looks. */
#ifndef PORTSMITH_DOCTOR_H
#define PORTSMITH_DOCTOR_H

#include <stdbool.h>

enum { EXIT_PROBLEMS = 4 };

/* Examines this host and the portsmithd of the configuration file at `path`, be it
 * running or not, and prints what it finds. For root. Returns an exit status of
 * portsmithctl(8). */
int doctor_run(const char *path, bool json);

#endif
