#include "common/text/settings.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/printable.h"

enum { SETTINGS_MAX = 32 }; /* keys of a section, as each has a bit in `seen` */

static const char white[] = " \t\r\n";

struct reading {
    FILE *file;
    const char *path;
    const char *section;
    const struct setting *settings;
    size_t count;
    void *into;
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

static bool apply(struct reading *r, const char *key, const char *value)
{
    struct error reason;
    char text[sizeof reason.text];

    for (size_t i = 0; i < r->count; i++) {
        const struct setting *s = &r->settings[i];

        if (strcasecmp(s->key, key) != 0)
            continue;
        if ((r->seen & (1u << i)) && !s->repeats) {
            snprintf(text, sizeof text, "%s is given a second time", s->key);
            return refuse(r, text);
        }
        r->seen |= 1u << i;
        if (s->set(r->into, value, &reason))
            return true;
        snprintf(text, sizeof text, "%s: %.400s", s->key, reason.text);
        return refuse(r, text);
    }
    snprintf(text, sizeof text, "unknown key '%.100s' in [%s]", key, r->section);
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

static bool take_section(struct reading *r, const char *line)
{
    size_t n = strlen(r->section);
    char text[160];

    r->is_in_section = strncasecmp(line + 1, r->section, n) == 0 && strcmp(line + n + 1, "]") == 0;
    if (r->is_in_section)
        return true;
    snprintf(text, sizeof text, "expected the section [%s], not %.100s", r->section, line);
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
        snprintf(text, sizeof text, "expected the line [%s] before this one", r->section);
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

bool settings_read_from(int fd, const char *path, const char *section,
                        const struct setting *settings, size_t count, void *into,
                        struct error *why)
{
    struct reading r = {.path = path, .section = section, .settings = settings,
                        .count = count, .into = into, .why = why};
    char buffer[4096];
    bool ok;

    r.file = count <= SETTINGS_MAX ? fdopen(fd, "r") : NULL;
    if (!r.file) {
        close(fd);
        return error_set(why, "%s: %s", path, strerror(errno));
    }
    setvbuf(r.file, buffer, _IOFBF, sizeof buffer); /* a buffer of ours can be wiped */
    ok = parse(&r);
    fclose(r.file);
    sodium_memzero(buffer, sizeof buffer);
    return ok;
}

bool settings_read(const char *path, enum file_trust trust, const char *section,
                   const struct setting *settings, size_t count, void *into, struct error *why)
{
    int fd = file_open(path, trust, why);

    return fd >= 0 && settings_read_from(fd, path, section, settings, count, into, why);
}

bool settings_each_word(const char *value,
                        bool (*add)(void *into, const char *word, struct error *why),
                        void *into, struct error *why)
{
    static const char blanks[] = " \t,";
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
