#include "common/text/settings.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/printable.h"

enum {
    SETTINGS_MAX = 32, /* keys of a section, as each has a bit in `seen` */
    PLACE_SIZE = PATH_MAX + 16,
    RENEWED_SIZE = 4 * SETTINGS_LINE_MAX, /* of a value, once no word in it is old */
};

static const char white[] = " \t\r\n"; /* around keys and values */
static const char blanks[] = " \t,";   /* between words of a value */

struct reading {
    FILE *file;
    const char *path;
    const struct settings_table *table;
    const struct settings_table *first; /* of the file's first section */
    void *into;
    struct settings_notes *notes; /* NULL: nobody wants them */
    struct error *why;
    unsigned line; /* the number of the last line that was read */
    uint32_t seen; /* a bit for each setting that was given */
    bool is_in_section;
    bool failed; /* *why has the reason */
};

static bool refuse(struct reading *r, const char *reason)
{
    r->failed = true;
    return error_set(r->why, "%s:%u: %s", r->path, r->line, reason);
}

/* The size of the line without its end, which is a newline, or a carriage return and a newline. */
static size_t size_without_end(const char *line)
{
    size_t size = strcspn(line, "\n");

    return size > 0 && line[size - 1] == '\r' ? size - 1 : size;
}

/* Refuses bytes that are not text: an error may quote the line. */
static bool is_text(struct reading *r, const char *line)
{
    for (size_t i = 0, end = size_without_end(line); i < end; i++)
        if (line[i] != '\t' && control_size(line + i) > 0)
            return refuse(r, "the line holds a control character");
    return true;
}

/* Reads a line as fgets(3) does. False at the end, too. */
static bool read_line(struct reading *r, char line[static SETTINGS_LINE_MAX + 2])
{
    const int size = SETTINGS_LINE_MAX + 2;
    size_t n;

    memset(line, '\n', (size_t)size); /* so the last zero in it is the one that fgets writes */
    if (!fgets(line, size, r->file))
        return ferror(r->file) ? refuse(r, strerror(errno)) : false;
    r->line++;
    n = strlen(line);
    if (line + n != memrchr(line, '\0', (size_t)size))
        return refuse(r, "the line holds a zero byte; if the file is UTF-16, save it as UTF-8");
    if (n > SETTINGS_LINE_MAX && line[n - 1] != '\n')
        return refuse(r, "the line is longer than 198 characters");
    return is_text(r, line);
}

/* ---- old words ------------------------------------------------------------ */

/* The old word that `size` bytes of `word` are: in the value of `key`, or a key where that is NULL.
 * Of keys the case does not matter. NULL if it is none. */
static const struct old_word *find_old(const struct settings_table *table, const char *key,
                                       const char *word, size_t size)
{
    for (const struct old_word *o = table->old_words; o && o->old; o++)
        if (strlen(o->old) == size && (key ? o->value && strcasecmp(o->key, key) == 0 &&
                                                 strncmp(o->old, word, size) == 0
                                           : !o->value && strncasecmp(o->old, word, size) == 0))
            return o;
    return NULL;
}

static void note_old(struct settings_notes *notes, const char *place, const struct old_word *o)
{
    const char *now = o->value ? o->value : o->key;

    if (!notes || notes->count++ >= SETTINGS_NOTES)
        return;
    snprintf(notes->first[notes->count - 1].what, sizeof notes->first->what,
             "%.300s: %s%s%s is the old word for %s, and is still taken", place,
             o->value ? o->key : "", o->value ? " = " : "", o->old, now);
    snprintf(notes->first[notes->count - 1].advice, sizeof notes->first->advice, "write %s%s%s",
             o->value ? o->key : "", o->value ? " = " : "", now);
}

/* Copies the value with the words of today in place of old ones. */
static void renew(char renewed[static RENEWED_SIZE], const struct settings_table *table,
                  const char *place, const char *key, const char *value,
                  struct settings_notes *notes)
{
    const struct old_word *old;
    size_t used = 0, size;

    for (const char *at = value; *at && used < RENEWED_SIZE; at += size) {
        size = strcspn(at, blanks);
        old = find_old(table, key, at, size);
        size = size > 0 ? size : strspn(at, blanks);
        if (old)
            note_old(notes, place, old);
        used += (size_t)snprintf(renewed + used, RENEWED_SIZE - used, "%.*s",
                                 old ? (int)strlen(old->value) : (int)size, old ? old->value : at);
    }
    renewed[used < RENEWED_SIZE ? used : RENEWED_SIZE - 1] = '\0';
}

/* ---- pairs ---------------------------------------------------------------- */

/* Finds the setting of a key, which may be an old one. NULL if there is none. */
static const struct setting *find_setting(const struct settings_table *table, const char *place,
                                          const char *key, struct settings_notes *notes)
{
    const struct old_word *old = find_old(table, NULL, key, strlen(key));

    if (old)
        note_old(notes, place, old);
    for (size_t i = 0; i < table->count; i++)
        if (strcasecmp(table->settings[i].key, old ? old->key : key) == 0)
            return &table->settings[i];
    return NULL;
}

static bool set_value(const struct setting *setting, const struct settings_table *table,
                      const char *place, const char *value, void *into,
                      struct settings_notes *notes, struct error *why)
{
    char renewed[RENEWED_SIZE];
    bool is_set;

    renew(renewed, table, place, setting->key, value, notes);
    is_set = setting->set(into, renewed, why);
    sodium_memzero(renewed, sizeof renewed); /* it may be secret */
    return is_set;
}

bool settings_set(const struct settings_table *table, const char *place, const char *key,
                  const char *value, void *into, struct settings_notes *notes, struct error *why)
{
    const struct setting *setting = find_setting(table, place, key, notes);

    if (!setting)
        return error_set(why, "unknown key '%s'", key);
    return set_value(setting, table, place, value, into, notes, why);
}

static bool apply(struct reading *r, const char *key, const char *value)
{
    char place[PLACE_SIZE];
    const struct setting *setting;
    struct error reason;
    char text[sizeof reason.text];
    uint32_t bit;

    snprintf(place, sizeof place, "%s:%u", r->path, r->line);
    setting = find_setting(r->table, place, key, r->notes);
    if (!setting && r->table != r->first && (setting = find_setting(r->first, place, key, NULL))) {
        snprintf(text, sizeof text, "%s belongs in [%s], above this section", setting->key,
                 r->first->section);
        return refuse(r, text);
    }
    if (!setting) {
        snprintf(text, sizeof text, "unknown key '%.100s' in [%s]", key, r->table->section);
        return refuse(r, text);
    }
    bit = 1u << (setting - r->table->settings);
    if ((r->seen & bit) && !setting->repeats) {
        snprintf(text, sizeof text, "%s is given a second time", setting->key);
        return refuse(r, text);
    }
    r->seen |= bit;
    if (set_value(setting, r->table, place, value, r->into, r->notes, &reason))
        return true;
    snprintf(text, sizeof text, "%s: %.400s", setting->key, reason.text);
    return refuse(r, text);
}

/* What is left of the text without the blanks around it. */
static char *trimmed(char *text)
{
    size_t size;

    text += strspn(text, white);
    size = strlen(text);
    while (size > 0 && strchr(white, text[size - 1]))
        size--;
    text[size] = '\0';
    return text;
}

/* Goes on with the table of the section that a line "[TITLE]" begins. */
static bool begin_section(struct reading *r, char *line)
{
    const size_t end = strlen(line) - 1;
    const struct settings_table *table;
    struct error reason;

    if (line[end] != ']')
        return refuse(r, "expected a section such as [Name]");
    line[end] = '\0';
    table = r->table->begin(r->into, line + 1, &reason);
    if (!table)
        return refuse(r, reason.text);
    r->table = table;
    r->seen = 0;
    r->is_in_section = true;
    return true;
}

static bool take_section(struct reading *r, char *line)
{
    const char *section = r->table->section;
    size_t n = strlen(section);
    char text[160];

    if (r->table->begin)
        return begin_section(r, line);
    r->is_in_section = strncasecmp(line + 1, section, n) == 0 && strcmp(line + n + 1, "]") == 0;
    if (r->is_in_section)
        return true;
    snprintf(text, sizeof text, "expected the section [%s], not %.100s", section, line);
    return refuse(r, text);
}

static bool take_pair(struct reading *r, char *line)
{
    char text[160], *equals = strchr(line, '=');

    if (line[strcspn(line, "=:")] == ':')
        return refuse(r, "expected 'Key = value', with an equals sign");
    if (!equals)
        return refuse(r, "expected 'Key = value', '[Section]' or a comment");
    if (!r->is_in_section) {
        snprintf(text, sizeof text, "expected the line [%s] before this one", r->table->section);
        return refuse(r, text);
    }
    *equals = '\0';
    return apply(r, trimmed(line), trimmed(equals + 1));
}

static bool take_line(struct reading *r, char *line)
{
    line = trimmed(line);
    if (strchr("#;", line[0])) /* or it is empty */
        return true;
    return line[0] == '[' ? take_section(r, line) : take_pair(r, line);
}

static bool parse(struct reading *r)
{
    char line[SETTINGS_LINE_MAX + 2]; /* may be secret */

    while (read_line(r, line) &&
           take_line(r, r->line == 1 ? line + (file_text(line) - line) : line))
        ;
    sodium_memzero(line, sizeof line);
    return !r->failed;
}

bool settings_read_stream(FILE *file, const char *path, const struct settings_table *table,
                          void *into, struct settings_notes *notes, struct error *why)
{
    struct reading r = {.file = file, .path = path, .table = table, .first = table, .into = into,
                        .notes = notes, .why = why};
    char buffer[4096];
    bool ok;

    setvbuf(file, buffer, _IOFBF, sizeof buffer); /* a buffer of ours can be wiped */
    ok = parse(&r);
    fclose(file);
    sodium_memzero(buffer, sizeof buffer);
    return ok;
}

bool settings_read_from(int fd, const char *path, const struct settings_table *table, void *into,
                        struct settings_notes *notes, struct error *why)
{
    FILE *file = table->count <= SETTINGS_MAX ? fdopen(fd, "r") : NULL;

    if (file)
        return settings_read_stream(file, path, table, into, notes, why);
    close(fd);
    return error_set(why, "%s: %s", path, strerror(errno));
}

bool settings_read(const char *path, enum file_trust trust, const struct settings_table *table,
                   void *into, struct settings_notes *notes, struct error *why)
{
    int fd = file_open(path, trust, why);

    return fd >= 0 && settings_read_from(fd, path, table, into, notes, why);
}

bool settings_each_word(const char *value,
                        bool (*add)(void *into, const char *word, struct error *why),
                        void *into, struct error *why)
{
    char words[SETTINGS_LINE_MAX + 2];
    char *rest = words, *word;

    if (strlen(value) >= sizeof words)
        return error_set(why, "too long");
    strcpy(words, value);
    if (words[strspn(words, blanks)] == '\0')
        return error_set(why, "expected a value");
    while ((word = strtok_r(rest, blanks, &rest)))
        if (!add(into, word, why))
            return false;
    return true;
}
