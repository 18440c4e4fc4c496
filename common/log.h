/* Log lines: to standard error with <N> priorities in the foreground, to
 * syslog otherwise; the process's name in every line; errno kept. */
#ifndef PORTSMITH_LOG_H
#define PORTSMITH_LOG_H

#include <stdbool.h>

/* `process` ("portsmithd", "portsmith-sniffer", ...) must stay valid. Connects to
 * syslog at once, so that a process may give up its root directory later. */
void log_open(const char *process, bool foreground, bool debug);

/* After a fork: the same destination under another process name. */
void log_rename(const char *process);

/* Gives up the connection to syslog, before descriptors are put in order: what is
 * then at its number must not be taken for it. log_rename makes another. */
void log_close(void);

#define LOG_FORMAT __attribute__((format(printf, 1, 2)))

void log_debug(const char *format, ...) LOG_FORMAT; /* only when debugging */
void log_info(const char *format, ...) LOG_FORMAT;
void log_warn(const char *format, ...) LOG_FORMAT;  /* appends ": strerror(errno)" */
void log_warnx(const char *format, ...) LOG_FORMAT;
_Noreturn void fatal(const char *format, ...) LOG_FORMAT;  /* log_warn, then exit(1) */
_Noreturn void fatalx(const char *format, ...) LOG_FORMAT; /* log_warnx, then exit(1) */

#undef LOG_FORMAT

#endif
