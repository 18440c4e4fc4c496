/* Tells the service manager that started portsmithd how it goes, as sd_notify(3) does. Each
 * message is a datagram of VARIABLE=value lines to the socket that NOTIFY_SOCKET names, by its
 * path or, with a leading @, in the abstract namespace. Without such a socket nothing is sent.
 * Nothing ever waits for the manager: a message that it does not take at once is lost. */
#ifndef PORTSMITH_NOTIFY_H
#define PORTSMITH_NOTIFY_H

#include <stdint.h>

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment, which must not have
 * been wiped yet. A name that no socket can have counts as none. */
void notify_read_environment(void);

/* Sends READY=1: who waits for the start, or for the end of a reload, may go on. */
void notify_ready(void);

/* Sends RELOADING=1, with the time of CLOCK_MONOTONIC, by which the manager tells this reload
 * from an earlier one. notify_ready ends the reload. */
void notify_reloading(void);

/* Sends STOPPING=1. */
void notify_stopping(void);

/* Sends STATUS=: one line for people, without a line end, of which 200 bytes are sent at most. */
void notify_status(const char *text);

/* Sends WATCHDOG=1, the sign of life. */
void notify_alive(void);

/* How often the manager wants notify_alive called, in nanoseconds: twice in the time that it
 * waits for a sign of life. 0: never. */
int64_t notify_alive_every_ns(void);

#endif
