/* How the client's programs begin, and tell people of what goes wrong. */
#ifndef PORTSMITH_CLI_H
#define PORTSMITH_CLI_H

#include "common/error.h"

enum { EXIT_USAGE = 2 };

/* Puts something in the place of standard input, output and error where they are closed,
 * so that no connection and no file takes it. To use it fails as before. */
void cli_hold_standard(void);

/* Says something on standard error, behind the program's name, and notes it down in case that
 * nobody sees it (failure.h). cli_usage_error and cli_failure do so, too. */
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says on standard error what is wrong with the command line, and where help is.
 * Returns EXIT_USAGE. */
int cli_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says "Try 'PROGRAM --help'." on standard error, for mistakes that getopt_long
 * has told already. Returns EXIT_USAGE. */
int cli_point_to_help(void);

/* Says `why` on standard error and returns `status`. */
int cli_failure(int status, const struct error *why);

#endif
