/* What went wrong, in words for the person who has to mend it. */
#ifndef PORTSMITH_ERROR_H
#define PORTSMITH_ERROR_H

#include <stdbool.h>

struct error {
    char text[640]; /* one line, zero-terminated, without a newline */
};

/* Stores the formatted text in *e, cut to its size. Keeps errno. Always returns false, so that a
 * function that fails can end with `return error_set(...)`. */
bool error_set(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
