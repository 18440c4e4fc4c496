/* The log. A process in the foreground writes its lines to standard error, with <N> priorities.
 * Another sends them to systemd's journal, in its own protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), or, where there is no socket of the journal's,
 * to what listens at /dev/log (RFC 3164). Each line has the process's name. All functions but
 * fatal and fatalx keep errno. syslog(3) is not used, as it waits without end for a log that
 * does not read.
 *
 * A log that does not read holds a process up for a second, and then for a sixtieth of its time
 * at most. Lines that it does not take are dropped. Their number stands in a later line. */
#ifndef PORTSMITH_LOG_H
#define PORTSMITH_LOG_H

#include <stdbool.h>

#include "common/limit.h"

/* Opens the log of the process called `process`, such as "portsmithd"; the text must stay
 * valid. With `debug`, log_debug writes lines, too. Connects to the journal or syslog at once,
 * so that the process may give up its root directory later. */
void log_open(const char *process, bool foreground, bool debug);

#define LOG_FORMAT __attribute__((format(printf, 1, 2)))

/* Write a line, which is cut off at about 1000 bytes. log_debug does so only if log_open said
 * debug. log_warn and fatal append ": " and strerror(errno). fatal and fatalx write at the
 * priority of an error, and end the process with EXIT_FAILURE. */
void log_debug(const char *format, ...) LOG_FORMAT;
void log_info(const char *format, ...) LOG_FORMAT;
void log_warn(const char *format, ...) LOG_FORMAT;
void log_warnx(const char *format, ...) LOG_FORMAT;
_Noreturn void fatal(const char *format, ...) LOG_FORMAT;
_Noreturn void fatalx(const char *format, ...) LOG_FORMAT;

#define LOG_FORMAT_LIMITED __attribute__((format(printf, 3, 4)))

/* As log_info and log_warnx, but `most` lines of the limit's kind in a minute: for what a
 * broken host, or somebody hostile, could have said without end. A later line says how many
 * were left out. True if the line was written. */
bool log_info_limited(struct log_limit *limit, uint32_t most, const char *format, ...)
    LOG_FORMAT_LIMITED;
bool log_warnx_limited(struct log_limit *limit, uint32_t most, const char *format, ...)
    LOG_FORMAT_LIMITED;

#undef LOG_FORMAT_LIMITED
/* What a line is about, for those who search the journal: its fields PORTSMITH_PROFILE, _ADDRESS,
 * _SERVICE and _VERDICT. NULL: the line has no such field. */
struct log_about {
    const char *profile, *address, *service, *verdict;
};

/* Writes a line that is made up already, of 1200 bytes at most. `priority` is one of syslog(3). */
void log_line(int priority, const struct log_about *about, const char *text);

/* ---- journal.c ---------------------------------------------------------- */

/* Whether standard error is a stream into the journal, as the service manager says by
 * JOURNAL_STREAM (systemd.exec(5)). The journal's own protocol then carries more, and is to be
 * preferred. Must be called before the environment is wiped. */
bool log_standard_error_is_the_journal(void);

#define LOG_FORMAT_ABOUT __attribute__((format(printf, 2, 3)))

/* As log_info and log_warnx, for a line that is about something. */
void log_info_about(const struct log_about *about, const char *format, ...) LOG_FORMAT_ABOUT;
void log_warnx_about(const struct log_about *about, const char *format, ...) LOG_FORMAT_ABOUT;

#undef LOG_FORMAT_ABOUT
#undef LOG_FORMAT

#endif
