#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static struct {
    const char *process;
    bool foreground;
    bool debug;
} logging = {.process = "portsmith", .foreground = true};

void log_rename(const char *process)
{
    logging.process = process;
    closelog();
    if (!logging.foreground)
        openlog(process, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_close(void)
{
    closelog();
}

void log_open(const char *process, bool foreground, bool debug)
{
    logging.foreground = foreground;
    logging.debug = debug;
    log_rename(process);
}

__attribute__((format(printf, 3, 0))) static void write_line(int priority, int error,
                                                             const char *format, va_list arguments)
{
    char text[1024], line[1200];
    int saved = errno, n;

    vsnprintf(text, sizeof text, format, arguments);
    if (!logging.foreground) {
        syslog(priority, error ? "%s: %s" : "%s", text, strerror(error));
    } else {
        n = snprintf(line, sizeof line, "<%d>%s[%ld]: %s%s%s\n", priority, logging.process,
                     (long)getpid(), text, error ? ": " : "", error ? strerror(error) : "");
        if (n >= (int)sizeof line) {
            n = sizeof line - 1;
            line[n - 1] = '\n';
        }
        /* One write a line, so that lines of several processes do not mix. */
        if (write(STDERR_FILENO, line, (size_t)n) < 0)
            (void)0; /* there is nowhere left to say it */
    }
    errno = saved;
}

#define WRITE_LINE(priority, error)                             \
    do {                                                        \
        va_list arguments_;                                     \
        va_start(arguments_, format);                           \
        write_line((priority), (error), format, arguments_);    \
        va_end(arguments_);                                     \
    } while (0)

void log_debug(const char *format, ...)
{
    if (logging.debug)
        WRITE_LINE(LOG_DEBUG, 0);
}

void log_info(const char *format, ...)
{
    WRITE_LINE(LOG_INFO, 0);
}

void log_warn(const char *format, ...)
{
    WRITE_LINE(LOG_WARNING, errno);
}

void log_warnx(const char *format, ...)
{
    WRITE_LINE(LOG_WARNING, 0);
}

void fatal(const char *format, ...)
{
    WRITE_LINE(LOG_ERR, errno);
    exit(EXIT_FAILURE);
}

void fatalx(const char *format, ...)
{
    WRITE_LINE(LOG_ERR, 0);
    exit(EXIT_FAILURE);
}
