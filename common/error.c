#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

bool error_set(struct error *e, const char *format, ...)
{
    int saved = errno;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(e->text, sizeof e->text, format, arguments);
    va_end(arguments);
    errno = saved;
    return false;
}
