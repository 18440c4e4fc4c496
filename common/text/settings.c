#include "common/text/settings.h"

#include <errno.h>
#include <ini.h>
#include <stdint.h>
#include <stdio.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/printable.h"

enum {
    SETTINGS_MAX = 32,    /* keys of a section, as each has a bit in `seen` */
    STACK_OF_INIH = 2048, /* bytes of stack that inih leaves lines in, which may be secret */
};

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
    bool failed;   /* *why has the reason */
};

static bool refuse(struct reading *r, const char *reason)
{
    if (!r->failed)
        error_set(r->why, "%s:%u: %s", r->path, r->line, reason);
    r->failed = true;
    return false;
}

static bool is_section_line(const char *line, const char *section)
{
    size_t n = strlen(section);

    return strncasecmp(line + 1, section, n) == 0 && line[n + 1] == ']' &&
           line[n + 2 + strspn(line + n + 2, " \t\r\n")] == '\0';
}

/* Refuses what inih would take in silence: a section without keys, and a colon in place of the
 * equals sign. */
static bool is_expected(struct reading *r, const char *line)
{
    char text[160];

    line += strspn(line, " \t");
    if (line[0] == '[' && !is_section_line(line, r->section)) {
        snprintf(text, sizeof text, "expected the section [%s], not %.*s", r->section,
                 (int)(strcspn(line, "\r\n") < 100 ? strcspn(line, "\r\n") : 100), line);
        return refuse(r, text);
    }
    if (!strchr("[#;", line[0]) && line[strcspn(line, "=:")] == ':')
        return refuse(r, "expected 'Key = value', with an equals sign");
    return true;
}

/* The size of the line without its end, which is a newline, or a carriage return and a newline. */
static size_t size_without_end(const char *line)
{
    size_t size = strcspn(line, "\n");

    return size > 0 && line[size - 1] == '\r' ? size - 1 : size;
}

/* Reads a line for inih, as fgets(3) does. Counts lines, and refuses what inih would misread:
 * overlong lines, and bytes that are not text. inih passes over a byte order mark itself. */
static char *read_line(char *buffer, int size, void *stream)
{
    struct reading *r = stream;
    size_t n;

    memset(buffer, '\n', (size_t)size); /* so the last zero in it is the one that fgets writes */
    if (r->failed || !fgets(buffer, size, r->file))
        return NULL;
    r->line++;
    n = strlen(buffer);
    if (buffer + n != memrchr(buffer, '\0', (size_t)size)) {
        refuse(r, "the line holds a zero byte; if the file is UTF-16, save it as UTF-8");
        return NULL;
    }
    if (n > SETTINGS_LINE_MAX && buffer[n - 1] != '\n') {
        refuse(r, "the line is longer than 198 characters");
        return NULL;
    }
    for (size_t i = 0, end = size_without_end(buffer); i < end; i++) {
        if (buffer[i] != '\t' && control_size(buffer + i) > 0) { /* an error may quote the line */
            refuse(r, "the line holds a control character");
            return NULL;
        }
    }
    return is_expected(r, r->line == 1 ? file_text(buffer) : buffer) ? buffer : NULL;
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

/* Takes a pair from inih. Nonzero: inih goes on. */
static int take_pair(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    char text[160];

    if (strcasecmp(section, r->section) != 0) {
        snprintf(text, sizeof text, "expected the line [%s] before this one", r->section);
        return refuse(r, text);
    }
    return apply(r, key, value);
}

static bool parse(struct reading *r)
{
    int bad_line;

    ini_allow_inline_comments = false; /* a value keeps its semicolons */
    ini_allow_multiline = false;       /* an indented line stands for itself */
    ini_stop_on_first_error = true;
    bad_line = ini_parse_stream(read_line, r, take_pair, r);
    if (!r->failed && bad_line != 0)
        return refuse(r, "expected 'Key = value', '[Section]' or a comment");
    if (!r->failed && ferror(r->file))
        return refuse(r, strerror(errno));
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
    sodium_stackzero(STACK_OF_INIH);
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
