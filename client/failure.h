/* The last failure, kept for portsmith-knock --diagnose. Under ControlPersist ssh(1)
 * discards what its ProxyCommand says on standard error, and with a ConnectTimeout it may
 * end that before it has said anything. */
#ifndef PORTSMITH_FAILURE_H
#define PORTSMITH_FAILURE_H

#include <stdbool.h>
#include <time.h>

enum { FAILURE_TEXT_SIZE = 4096 };

/* Notes one line down, without what would control a terminal; nothing is written yet. What
 * there is no room for is left out. */
void failure_note(const char *line);

/* Puts what was noted down into the file `failure` in the state directory, mode 0600, in place
 * of an earlier one. If nothing was noted or it cannot be written, nothing happens: the
 * reason has been said already. */
void failure_keep(void);

/* It was none: removes the file. */
void failure_forget(void);

/* Reads the file: lines, each with its newline, and when they were kept. False if there is
 * none that can be trusted. */
bool failure_read(char text[static FAILURE_TEXT_SIZE], time_t *when);

#endif
