/* Tells the service manager that started us how it goes, as sd_notify(3) does: a
 * datagram of VARIABLE=value lines to the socket that NOTIFY_SOCKET names, by path or,
 * with a leading @, in the abstract namespace. Without such a socket nothing is said;
 * nothing ever waits for the manager, and what it does not take is lost. */
#ifndef PORTSMITH_NOTIFY_H
#define PORTSMITH_NOTIFY_H

#include <stdint.h>

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment; call it
 * before that is wiped. A name that no socket can have counts as none. */
void notify_read_environment(void);

/* READY=1: whoever waits for the start, or for the end of a reload, may go on. */
void notify_ready(void);

/* RELOADING=1, with the time on CLOCK_MONOTONIC, by which the manager tells this reload
 * from one before; notify_ready ends it. */
void notify_reloading(void);

/* STOPPING=1. */
void notify_stopping(void);

/* STATUS=: one line for people, without its line end, at most 200 bytes of it. */
void notify_status(const char *text);

/* WATCHDOG=1. */
void notify_alive(void);

/* How often notify_alive is to be called, in nanoseconds: half of what the manager
 * waits for. 0: it does not wait, so never. */
int64_t notify_alive_every_ns(void);

#endif
