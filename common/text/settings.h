/* Settings: INI files, most of which have one section. Each key must be known, each value is
 * checked, and each mistake is named with file and line. */
#ifndef PORTSMITH_SETTINGS_H
#define PORTSMITH_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

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

/* A word of earlier releases. It is still taken for the word in its place, with a note. */
struct old_word {
    const char *old;
    const char *key;   /* as it is now */
    const char *value; /* the word in its value, as it is now; NULL: the key is what changed */
};

/* What a kind of file may hold. */
struct settings_table {
    const char *section;
    const struct setting *settings;
    size_t count;                     /* 32 at most */
    const struct old_word *old_words; /* a row of zeros ends them; NULL: there are none */
    /* Where a file has many sections: returns the table of the one that a line [TITLE] begins, which
     * has the same `begin`. NULL with the reason. */
    const struct settings_table *(*begin)(void *into, const char *title, struct error *why);
};

enum { SETTINGS_NOTES = 4 };

/* Notes on old words: zeros before the first one. */
struct settings_notes {
    unsigned count; /* only the first SETTINGS_NOTES of them are kept */
    struct {
        char what[400], advice[64];
    } first[SETTINGS_NOTES];
};

/* Reads the file at `path`, which file_open opens with `trust`, into *into, by calling the `set`
 * of each key that it gives. A comment is a line of its own that starts with # or ;. A byte order
 * mark before the first line is passed over. Notes are added to *notes, which may be NULL.
 *
 * False with the reason, which begins with "path:line: ": a key or section is not known, a key
 * is given twice, a line is not "Key = value" or too long, or `set` refuses a value. Values
 * that were stored before are not undone. */
bool settings_read(const char *path, enum file_trust trust, const struct settings_table *table,
                   void *into, struct settings_notes *notes, struct error *why);

/* As settings_read, from the descriptor `fd`, which is closed. Errors call it `path`. */
bool settings_read_from(int fd, const char *path, const struct settings_table *table, void *into,
                        struct settings_notes *notes, struct error *why);

/* As settings_read, from `file`, which is closed. */
bool settings_read_stream(FILE *file, const char *path, const struct settings_table *table,
                          void *into, struct settings_notes *notes, struct error *why);

/* Sets one key, as a line of the file would. `place` is what notes begin with, such as an option.
 * False with the reason: the key is not known, or `set` refuses the value. */
bool settings_set(const struct settings_table *table, const char *place, const char *key,
                  const char *value, void *into, struct settings_notes *notes, struct error *why);

/* Calls `add` for each word of a value. Blanks or commas part the words. False with the reason
 * if there is no word, or `add` refuses one. */
bool settings_each_word(const char *value,
                        bool (*add)(void *into, const char *word, struct error *why),
                        void *into, struct error *why);

#endif
