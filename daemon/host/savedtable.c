#include "daemon/host/savedtable.h"

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILES_MAX = 256, /* that are looked at: files can include each other in a circle */
    DEPTH_MAX = 16,  /* of includes, as nft has it */
    PATH_SIZE = 512,
};

/* Where Debian, Red Hat and OpenRC have them. */
static const char *const files[] = {
    "/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"};

struct search {
    warning_taker *report;
    void *data;
    unsigned files;
};

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* Behind the word and the blanks after it; NULL: the text begins with another. */
static const char *skip_word(const char *at, const char *word)
{
    const size_t size = strlen(word);

    return strncmp(at, word, size) == 0 && strchr(" \t", at[size]) && at[size] != '\0'
               ? skip_blanks(at + size) : NULL;
}

/* Whether the line begins the table, with or without "add" before. */
static bool begins_table(const char *line)
{
    static const char name[] = "portsmith";
    const char *at = skip_blanks(line), *behind = skip_word(at, "add");

    at = skip_word(behind ? behind : at, "table");
    at = at ? skip_word(at, "inet") : NULL;
    return at && strncmp(at, name, sizeof name - 1) == 0 &&
           strchr(" \t\n;{", at[sizeof name - 1]) != NULL;
}

static void look_into(struct search *s, const char *path, unsigned depth);

/* Follows a line that includes other files, by a pattern. */
static void follow_include(struct search *s, const char *line, unsigned depth)
{
    const char *quote = skip_word(skip_blanks(line), "include");
    char path[PATH_SIZE];
    glob_t found;
    size_t size;

    if (!quote || (*quote != '"' && *quote != '\''))
        return;
    size = strcspn(quote + 1, "\"'\n");
    snprintf(path, sizeof path, "%s%.*s", quote[1] == '/' ? "" : "/etc/", (int)size, quote + 1);
    if (glob(path, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        look_into(s, found.gl_pathv[i], depth + 1);
    globfree(&found);
}

static void tell(const struct search *s, const char *path)
{
    char what[PATH_SIZE + 200];

    snprintf(what, sizeof what,
             "%s holds Portsmith's table as nft list ruleset prints it: while portsmithd runs nft "
             "cannot load that, and so loads none of it, the host's own tables neither", path);
    s->report(s->data, what, "take 'table inet portsmith' out of it, and save only the others: nft "
                             "list tables | grep -v -x 'table inet portsmith' | while read -r "
                             "table; do nft list $table; done");
}

static void look_into(struct search *s, const char *path, unsigned depth)
{
    FILE *in = s->files++ < FILES_MAX && depth < DEPTH_MAX ? fopen(path, "re") : NULL;
    char *line = NULL;
    bool found = false;
    size_t room = 0;

    while (in && getline(&line, &room, in) >= 0) {
        found |= begins_table(line);
        follow_include(s, line, depth);
    }
    free(line);
    if (in)
        fclose(in);
    if (found)
        tell(s, path);
}

void savedtable_find(warning_taker *report, void *data)
{
    struct search s = {.report = report, .data = data};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        look_into(&s, files[i], 0);
}
