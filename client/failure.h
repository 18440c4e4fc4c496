/* The last failure, which is kept for portsmith-knock --diagnose. Under ControlPersist, ssh(1)
 * discards what its ProxyCommand says on standard error. With a ConnectTimeout it may end its
 * ProxyCommand before that has said anything. */
#ifndef PORTSMITH_FAILURE_H
#define PORTSMITH_FAILURE_H

#include <stdbool.h>
#include <time.h>

enum { FAILURE_TEXT_SIZE = 4096 }; /* bytes, the zero included */

/* Notes one line down in memory, with question marks for what would control a terminal. A line
 * that no longer fits into FAILURE_TEXT_SIZE is left out. */
void failure_note(const char *line);

/* Puts the lines that were noted down into the file "failure" in the state directory, mode 0600,
 * in place of earlier ones. Nothing happens if no line was noted down. A file that cannot be
 * written is passed over in silence: the user has seen the lines, and the file is a copy. */
void failure_keep(void);

/* Removes the file, after what was kept has turned out to be no failure. */
void failure_forget(void);

/* Reads the file: its lines, each with its newline, into `text`, and the time at which they were
 * kept into *when. False if there is no file that can be trusted. */
bool failure_read(char text[static FAILURE_TEXT_SIZE], time_t *when);

#endif
