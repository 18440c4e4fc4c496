/* Log lines: to standard error with <N> priorities in the foreground; otherwise to
 * systemd's journal in its own protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)
 * where its socket is, or else to what listens at /dev/log (RFC 3164). The process's name
 * in every line; errno kept. Not by syslog(3), which waits for a log that does not read
 * without an end.
 *
 * A log that does not read holds a process up for a second, then a sixtieth of its time at
 * most: lines that it does not take are dropped, and counted in one that it does. */
#ifndef PORTSMITH_LOG_H
#define PORTSMITH_LOG_H

#include <stdbool.h>

#include "common/limit.h"

/* `process` ("portsmithd", "portsmith-sniffer", ...) must stay valid. Connects to
 * journal or syslog at once, so that a process may give up its root directory later. */
void log_open(const char *process, bool foreground, bool debug);

/* Whether what is written to standard error ends up in the journal as it is, which the
 * service manager tells by JOURNAL_STREAM (systemd.exec(5)): to log there as in the
 * background is then to say more. Before the environment is wiped. */
bool log_standard_error_is_the_journal(void);

#define LOG_FORMAT __attribute__((format(printf, 1, 2)))

void log_debug(const char *format, ...) LOG_FORMAT; /* only when debugging */
void log_info(const char *format, ...) LOG_FORMAT;
void log_warn(const char *format, ...) LOG_FORMAT;  /* appends ": strerror(errno)" */
void log_warnx(const char *format, ...) LOG_FORMAT;
_Noreturn void fatal(const char *format, ...) LOG_FORMAT;  /* log_warn, then exit(1) */
_Noreturn void fatalx(const char *format, ...) LOG_FORMAT; /* log_warnx, then exit(1) */

/* What a line is about, for those who search the journal: fields PORTSMITH_PROFILE,
 * _ADDRESS, _SERVICE and _VERDICT. NULL: there is none. */
struct log_about {
    const char *profile, *address, *service, *verdict;
};

#define LOG_FORMAT_ABOUT __attribute__((format(printf, 2, 3)))

void log_info_about(const struct log_about *about, const char *format, ...) LOG_FORMAT_ABOUT;
void log_warnx_about(const struct log_about *about, const char *format, ...) LOG_FORMAT_ABOUT;

#define LOG_FORMAT_LIMITED __attribute__((format(printf, 3, 4)))

/* Where a broken host, or somebody hostile, could have the same said without end: `most` of
 * them in a minute. A later one says how many there were besides. True if it was written. */
bool log_info_limited(struct log_limit *limit, uint32_t most, const char *format, ...)
    LOG_FORMAT_LIMITED;
bool log_warnx_limited(struct log_limit *limit, uint32_t most, const char *format, ...)
    LOG_FORMAT_LIMITED;

#undef LOG_FORMAT_LIMITED
#undef LOG_FORMAT_ABOUT
#undef LOG_FORMAT

#endif
