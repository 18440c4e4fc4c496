#include "daemon/portsmith-profile/authorized.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/file.h"
#include "common/printable.h"
#include "common/room.h"
#include "common/text/settings.h"

enum { NAME_SIZE = 40 }; /* of an option; the zero included */

static const char blanks[] = " \t\r\n";

/* ---- options -------------------------------------------------------------- */

struct option_text {
    char name[NAME_SIZE];
    char value[AUTHORIZED_VALUE_SIZE];
    bool has_value;
};

/* Takes a value in quotes, in which \" stands for a quote. */
static bool take_value(const char **at, struct option_text *o, struct error *why)
{
    const char *t = *at + 1;
    size_t size = 0;

    if (**at != '"')
        return error_set(why, "option %s: expected its value in quotes", o->name);
    for (; *t && *t != '"'; t++) {
        if (t[0] == '\\' && t[1] == '"')
            t++;
        if (size == sizeof o->value - 1)
            return error_set(why, "option %s: its value is longer than %zu characters", o->name,
                             sizeof o->value - 1);
        o->value[size++] = *t;
    }
    if (*t != '"')
        return error_set(why, "option %s: the quote that ends its value is missing", o->name);
    *at = t + 1;
    return true;
}

static bool take_option(const char **at, struct option_text *o, struct error *why)
{
    size_t size = strspn(*at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

    memset(o, 0, sizeof *o);
    if (size == 0 || size >= sizeof o->name)
        return error_set(why, "not a line of authorized_keys: expected ssh-ed25519 AAAA..., or "
                              "options and that");
    memcpy(o->name, *at, size);
    *at += size;
    if (**at != '=')
        return true;
    ++*at;
    o->has_value = true;
    return take_value(at, o, why);
}

static bool is_address(void *into, const char *word, struct error *why)
{
    struct prefix unused;
    struct error reason;

    (void)into;
    return prefix_parse(&unused, word, &reason) ||
           error_set(why, "option from: '%.100s' is not an address or a prefix such as "
                          "192.0.2.0/24, and a knock has no host name", word);
}

/* sshd splits the list at its commas alone, and refuses an empty part. */
static bool is_list(const char *value)
{
    return value[strcspn(value, blanks)] == '\0' && value[0] != '\0' && value[0] != ',' &&
           value[strlen(value) - 1] != ',' && !strstr(value, ",,");
}

static bool apply_from(struct authorized_key *key, const char *value, struct error *why)
{
    if (key->address[0])
        return error_set(why, "option from is there twice: write all its addresses into one, with "
                              "commas between");
    if (!is_list(value))
        return error_set(why, "option from: expected addresses with commas between, and no blanks");
    strcpy(key->address, value);
    return settings_each_word(value, is_address, NULL, why);
}

/* Reads YYYYMMDD[HHMM[SS]][Z] of sshd(8). */
static bool parse_time(time_t *time, const char *value)
{
    char digits[16];
    struct tm t = {.tm_isdst = -1};
    size_t size = strspn(value, "0123456789");
    bool is_utc = strcasecmp(value + size, "Z") == 0;
    const char *end;

    if ((size != 8 && size != 12 && size != 14) || (value[size] && !is_utc))
        return false;
    snprintf(digits, sizeof digits, "%.*s", (int)size, value);
    end = strptime(digits, size == 8 ? "%Y%m%d" : size == 12 ? "%Y%m%d%H%M" : "%Y%m%d%H%M%S", &t);
    *time = is_utc ? timegm(&t) : mktime(&t);
    return end && *end == '\0' && *time > 0;
}

/* A profile ends with a day. One that is not over when the key expires does not count. */
static bool apply_expiry(struct authorized_key *key, const char *value, struct error *why)
{
    enum { DAY = 86400 };
    time_t time;

    if (key->expires[0])
        return error_set(why, "option expiry-time is there twice: keep the earlier one, which "
                              "sshd goes by");
    if (!parse_time(&time, value) || time < DAY)
        return error_set(why, "option expiry-time: '%.100s' is not a time such as 20270131 or "
                              "202701311200Z", value);
    key->is_shortened = time % DAY != 0;
    date_format(time - time % DAY, key->expires);
    return true;
}

static bool apply_require(struct authorized_key *key, const char *name, const char *word,
                          struct error *why)
{
    if (key->key.form != SIGNER_SECURITY_KEY)
        return error_set(why, "option %s is for a security key (sk-ssh-ed25519@openssh.com) alone",
                         name);
    if (key->require && strcmp(key->require, word) != 0)
        return error_set(why, "options no-touch-required and verify-required exclude each other "
                              "in a profile");
    key->require = word;
    return true;
}

static bool apply_option(struct authorized_key *key, const struct option_text *o, struct error *why)
{
    if (o->has_value && strcasecmp(o->name, "from") == 0)
        return apply_from(key, o->value, why);
    if (o->has_value && strcasecmp(o->name, "expiry-time") == 0)
        return apply_expiry(key, o->value, why);
    if (!o->has_value && strcasecmp(o->name, "no-touch-required") == 0)
        return apply_require(key, o->name, "none", why);
    if (!o->has_value && strcasecmp(o->name, "verify-required") == 0)
        return apply_require(key, o->name, "pin", why);
    return error_set(why, "option %s cannot be kept: of a profile's key there are from=, "
                          "expiry-time=, no-touch-required and verify-required alone; take it out "
                          "of the line", o->name);
}

/* ---- lines ------------------------------------------------------------------ */

/* Reads the options, of which `key` is not NULL, or only finds their end. Returns where the key's
 * line begins, or NULL with the reason. */
static const char *read_options(struct authorized_key *key, const char *line, struct error *why)
{
    struct option_text o;

    if (ssh_key_is_line(line))
        return line;
    for (;; line++) {
        if (!take_option(&line, &o, why) || (key && !apply_option(key, &o, why)))
            return NULL;
        if (*line != ',')
            break;
    }
    if (!*line || !strchr(blanks, *line)) {
        error_set(why, "not a line of authorized_keys: expected a key behind option %s", o.name);
        return NULL;
    }
    return line + strspn(line, blanks);
}

bool authorized_parse(struct authorized_key *key, const char *line, struct error *why)
{
    const char *text;

    memset(key, 0, sizeof *key);
    key->line = 1;
    line += strspn(line, blanks);
    text = read_options(NULL, line, why);
    /* Which options there may be depends on the key behind them. */
    return text && ssh_key_parse(&key->key, text, why) && read_options(key, line, why);
}

bool authorized_is_blank(const char *line)
{
    line += strspn(line, blanks);
    return *line == '\0' || *line == '#';
}

/* ---- files ------------------------------------------------------------------- */

struct file {
    const char *path;
    FILE *in;
    struct authorized_key *keys;
    size_t count;
};

static bool add_line(struct file *f, const char *line, unsigned number, struct error *why)
{
    struct authorized_key *keys = room_for_one(f->keys, f->count, sizeof *keys);
    struct error reason;

    if (!keys)
        return error_set(why, "%s: %s", f->path, strerror(errno));
    f->keys = keys;
    if (f->count == AUTHORIZED_KEYS_MAX)
        return error_set(why, "%s:%u: more than %d keys", f->path, number, AUTHORIZED_KEYS_MAX);
    if (!authorized_parse(&f->keys[f->count], line, &reason))
        return error_set(why, "%s:%u: %.500s", f->path, number, reason.text);
    f->keys[f->count++].line = number;
    return true;
}

static bool read_lines(struct file *f, struct error *why)
{
    char line[AUTHORIZED_LINE_SIZE];

    for (unsigned number = 1;; number++) {
        memset(line, '\n', sizeof line); /* so the last zero in it is the one that fgets writes */
        if (!fgets(line, sizeof line, f->in))
            break;
        if (line + strlen(line) != memrchr(line, '\0', sizeof line))
            return error_set(why, "%s:%u: the line holds a zero byte", f->path, number);
        if (strlen(line) == sizeof line - 1 && line[sizeof line - 2] != '\n')
            return error_set(why, "%s:%u: the line is longer than %d characters", f->path, number,
                             AUTHORIZED_LINE_SIZE - 2);
        if (!authorized_is_blank(line) && !add_line(f, line, number, why))
            return false;
    }
    if (ferror(f->in))
        return error_set(why, "%s: %s", f->path, strerror(errno));
    return f->count > 0 || error_set(why, "%s: there is no key in it", f->path);
}

static bool read_file(struct file *f, struct error *why)
{
    bool ok;

    f->in = fopen(f->path, "re");
    if (!f->in)
        return error_set(why, "%s: %s", f->path, file_explain(errno));
    ok = read_lines(f, why);
    fclose(f->in);
    return ok;
}

static bool is_line(const char *text)
{
    return access(text, F_OK) != 0 && strpbrk(text + strspn(text, blanks), blanks);
}

const char *authorized_place(const char *text)
{
    return is_line(text) ? "--ssh-key" : text;
}

bool authorized_read(struct authorized_key **keys, size_t *count, const char *text,
                     struct error *why)
{
    struct file f = {.path = authorized_place(text)};
    bool ok = f.path != text ? add_line(&f, text, 1, why) : read_file(&f, why);
    *keys = f.keys;
    *count = f.count;
    if (!ok) {
        free(f.keys);
        *keys = NULL;
    }
    return ok;
}

/* ---- profiles ------------------------------------------------------------------ */

static bool set(struct profile_draft *draft, const char *key, const char *value, bool is_said,
                struct error *why)
{
    struct settings_notes notes = {0};

    if (is_said)
        return error_set(why, "the line says what becomes %s = %.100s, and the command line says "
                              "%s, too: take one of them out", key, value, key);
    return profile_set(draft, "--ssh-key", key, value, &notes, why);
}

bool authorized_apply(const struct authorized_key *key, struct profile_draft *draft,
                      struct error *why)
{
    const struct helper_profile *p = &draft->policy;
    const bool says_address = draft->says_any || p->needs_signed_address || p->prefix_count > 0;
    char line[SSH_KEY_LINE_SIZE];

    if (key->require && !set(draft, "Require", key->require, draft->says_required, why))
        return false;
    if (key->address[0] && !set(draft, "Address", key->address, says_address, why))
        return false;
    if (key->expires[0] && !set(draft, "Expires", key->expires, p->expires != 0, why))
        return false;
    return set(draft, "PublicKey", ssh_key_format(&key->key, line), false, why);
}

void authorized_name(char name[static POLICY_NAME_SIZE], const struct authorized_key *key)
{
    size_t size = 0;

    for (const char *c = key->key.comment; *c && size < POLICY_NAME_SIZE - 1; c++)
        if ((unsigned char)*c < 0x80 && isalnum((unsigned char)*c))
            name[size++] = (char)tolower(*c);
        else if (size > 0 && name[size - 1] != '-')
            name[size++] = '-';
    while (size > 0 && name[size - 1] == '-')
        size--;
    name[size] = '\0';
    if (size == 0)
        snprintf(name, POLICY_NAME_SIZE, "key-%u", key->line);
}
