#include "cli.h"

#include <err.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int cli_hint(void)
{
    fprintf(stderr, "Try '%s --help'.\n", program_invocation_short_name);
    return EXIT_USAGE;
}

int cli_usage_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vwarnx(format, arguments);
    va_end(arguments);
    return cli_hint();
}

int cli_failure(int status, const struct error *why)
{
    warnx("%s", why->text);
    return status;
}
