/* How what looks at this host tells what is wrong with it. */
#ifndef PORTSMITH_WARNING_H
#define PORTSMITH_WARNING_H

#include "common/text/settings.h"

/* Takes one thing that is wrong: `what` it is, and as `advice` what to do about it. Both are
 * the caller's, and valid during the call alone. `data` is what the asker handed over. */
typedef void warning_taker(void *data, const char *what, const char *advice);

/* Calls `report`, handing on `data`, for each note on an old word that was kept, and once for all
 * others. */
void warning_of_old_words(const struct settings_notes *notes, warning_taker *report, void *data);

/* A warning_taker that writes a warning to the log. `unused` may be NULL. */
void warning_log(void *unused, const char *what, const char *advice);

/* A warning_taker that prints a warning on standard error. `unused` may be NULL. */
void warning_print(void *unused, const char *what, const char *advice);

#endif
