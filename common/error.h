/* What went wrong, in words for the person who has to mend it. */
#ifndef PORTSMITH_ERROR_H
#define PORTSMITH_ERROR_H

#include <stdbool.h>

struct error {
    char text[512]; /* one line, zero-terminated, without a newline */
};

/* Stores the formatted text in *e, cut to its size. Always returns false, so
 * that a failing function can end with `return error_set(...)`. Keeps errno. */
bool error_set(struct error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
