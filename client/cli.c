#include "client/cli.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/failure.h"

void cli_hold_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && /* open(2) returns the lowest free descriptor, which is fd */
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(EXIT_FAILURE);
}

int cli_point_to_help(void)
{
    fprintf(stderr, "Try '%s --help'.\n", program_invocation_short_name);
    return EXIT_USAGE;
}

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list arguments)
{
    char line[1024]; /* longer than a struct error */

    vsnprintf(line, sizeof line, format, arguments);
    warnx("%s", line);
    failure_note(line);
}

void cli_warn(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

int cli_usage_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    return cli_point_to_help();
}

int cli_failure(int status, const struct error *why)
{
    cli_warn("%s", why->text);
    return status;
}

void cli_tell_notes(const struct settings_notes *notes)
{
    for (unsigned i = 0; i < notes->count && i < SETTINGS_NOTES; i++)
        warnx("note: %s: %s", notes->first[i].what, notes->first[i].advice);
}
