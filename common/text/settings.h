/* INI files with one section, read with inih: every key known, every value
 * checked, every mistake named with file and line. */
#ifndef PORTSMITH_SETTINGS_H
#define PORTSMITH_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/file.h"

/* inih reads at most 200 bytes a line (Debian's build: a fixed buffer) and
 * would go on in the middle of a longer one, so longer lines are refused. */
enum { SETTINGS_LINE_MAX = 198 };

struct setting {
    const char *key; /* matched whatever the case */
    bool (*set)(void *into, const char *value, struct error *why);
    bool repeats; /* may be given several times, each time adding */
};

/* Reads `path`, opened as `trust` asks, into *into: each key's `set` is called
 * with its value. A key or section that is not known, a key given twice, a
 * line that is not `Key = value`, an overlong line or a value that `set`
 * refuses is an error "path:line: ...". What of *into was set before is not
 * undone. A comment is a line of its own that starts with # or ;. A byte order mark before
 * the first line is passed over. */
bool settings_read(const char *path, enum file_trust trust, const char *section,
                   const struct setting *settings, size_t count, void *into, struct error *why);

/* The same for a file that is open already, or standard input; `path` is what errors
 * call it. Closes `fd`. */
bool settings_read_from(int fd, const char *path, const char *section, const struct setting *settings,
                   size_t count, void *into, struct error *why);

/* Calls `add` for each of the words, parted by blanks or commas, of a value. */
bool settings_each_word(const char *value,
                        bool (*add)(void *into, const char *word, struct error *why),
                        void *into, struct error *why);

#endif
