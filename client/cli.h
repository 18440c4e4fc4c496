/* How the client's programs begin, and tell people of what goes wrong. */
#ifndef PORTSMITH_CLI_H
#define PORTSMITH_CLI_H

#include "common/error.h"
#include "common/text/settings.h"

enum { EXIT_USAGE = 2 };

/* Opens /dev/null in place of standard input, output and error where they are closed, so that
 * no connection or file gets one of these descriptors. Input is opened for writing alone, and the
 * other two for reading alone: to use them fails as before. */
void cli_hold_standard(void);

/* Says a line on standard error, behind the program's name, and notes it down in case that nobody
 * sees it (failure.h). cli_usage_error and cli_failure do both, too. */
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says the notes on old words of a file on standard error. */
void cli_tell_notes(const struct settings_notes *notes);

/* Says on standard error what is wrong with the command line, and where help is. Returns
 * EXIT_USAGE. */
int cli_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says "Try 'PROGRAM --help'." on standard error, after a mistake that getopt_long has told
 * already. Returns EXIT_USAGE. */
int cli_point_to_help(void);

/* Says `why` on standard error and returns `status`. */
int cli_failure(int status, const struct error *why);

#endif
