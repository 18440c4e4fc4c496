/* Settings: INI files with one section. Each key must be known, each value is
 * checked, and each mistake is named with file and line. */
#ifndef PORTSMITH_SETTINGS_H
#define PORTSMITH_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/file.h"

/* How many bytes a line may have. */
enum { SETTINGS_LINE_MAX = 198 };

struct setting {
    const char *key; /* case does not matter */
    /* Stores the value. False with what was expected. */
    bool (*set)(void *into, const char *value, struct error *why);
    bool repeats; /* the key may be given several times, and `set` adds each value */
};

/* Reads the file at `path`, which file_open opens with `trust`, into *into, by calling the
 * `set` of each key that it gives. There are `count` settings, 32 at most. A comment is a line
 * of its own that starts with # or ;. A byte order mark before the first line is passed over.
 *
 * False with the reason, which begins with "path:line: ": a key or section is not known, a key
 * is given twice, a line is not "Key = value" or too long, or `set` refuses a value. Values
 * that were stored before are not undone. */
bool settings_read(const char *path, enum file_trust trust, const char *section,
                   const struct setting *settings, size_t count, void *into, struct error *why);

/* As settings_read, from the descriptor `fd`, which is closed. Errors call it `path`. */
bool settings_read_from(int fd, const char *path, const char *section,
                        const struct setting *settings, size_t count, void *into,
                        struct error *why);

/* Calls `add` for each word of a value. Blanks or commas part the words. False with the reason
 * if there is no word, or `add` refuses one. */
bool settings_each_word(const char *value,
                        bool (*add)(void *into, const char *word, struct error *why),
                        void *into, struct error *why);

#endif
