/* What only the journal takes: what a line is about. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "common/log.h"
#include "common/printable.h"

bool log_standard_error_is_the_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char ours[64];
    struct stat s;

    if (!stream || fstat(STDERR_FILENO, &s) != 0)
        return false;
    snprintf(ours, sizeof ours, "%ju:%ju", (uintmax_t)s.st_dev, (uintmax_t)s.st_ino);
    return strcmp(stream, ours) == 0;
}

__attribute__((format(printf, 3, 0))) static void write_about(int priority,
                                                              const struct log_about *about,
                                                              const char *format,
                                                              va_list arguments)
{
    char text[1024];

    vsnprintf(text, sizeof text, format, arguments);
    printable(text);
    log_line(priority, about, text);
}

void log_info_about(const struct log_about *about, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_about(LOG_INFO, about, format, arguments);
    va_end(arguments);
}

void log_warnx_about(const struct log_about *about, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_about(LOG_WARNING, about, format, arguments);
    va_end(arguments);
}
