/* The file that says which portsmithd is the running one. Its lock is what
 * counts: it ends with its process, however that ends. */
#ifndef PORTSMITH_PIDFILE_H
#define PORTSMITH_PIDFILE_H

#include <sys/types.h>

#include "common/error.h"

/* Makes run_directory/portsmithd.pid, takes its lock and writes the caller's
 * pid into it. Call it in the process that stays: a child does not inherit the
 * lock, and closing any descriptor of the file gives it up. Returns the
 * descriptor (close-on-exec) to keep open; -1 with "already running as pid N",
 * or what else is wrong, in *why. */
int pidfile_create(const char *run_directory, struct error *why);

/* Empties the file of pidfile_create and gives the lock up: nobody is to send a
 * signal to a process that has ended. */
void pidfile_end(int fd);

/* Returns the pid of the portsmithd that holds the lock; 0 if none does. The caller itself does not
 * count. */
pid_t pidfile_owner(const char *run_directory);

#endif
