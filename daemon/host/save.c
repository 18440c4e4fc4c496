#include "daemon/host/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 64 };

/* Writes the path of the program. NULL: it is not there. */
static const char *find_program(enum backend backend, enum family family,
                                char path[static PATH_SIZE])
{
    static const char *const directories[] = {"/usr/sbin", "/sbin"};

    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        snprintf(path, PATH_SIZE, "%s/%s-%s-save", directories[i],
                 family == IPV6 ? "ip6tables" : "iptables",
                 backend == BACKEND_LEGACY ? "legacy" : "nft");
        if (access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

bool save_is_there(enum backend backend, enum family family)
{
    char path[PATH_SIZE];

    return find_program(backend, family, path) != NULL;
}

/* Whether iptables-legacy has the table, or with NULL any table. */
static bool has_legacy_table(enum family family, const char *table)
{
    FILE *names = fopen(family == IPV6 ? "/proc/net/ip6_tables_names" : "/proc/net/ip_tables_names",
                        "re");
    char name[32]; /* XT_TABLE_MAXNAMELEN */
    bool found = false;

    while (names && !found && fscanf(names, "%31s", name) == 1)
        found = !table || strcmp(name, table) == 0;
    if (names)
        fclose(names);
    return found;
}

bool save_run(struct tool *tool, enum backend backend, enum family family, const char *table)
{
    const char *const one[] = {"-t", table, NULL}, *const all[] = {NULL};
    char path[PATH_SIZE];
    struct error unused;

    return (backend != BACKEND_LEGACY || has_legacy_table(family, table)) &&
           find_program(backend, family, path) &&
           tool_run(tool, path, table ? one : all, "", &unused);
}

bool save_read(struct walk_rules *rules, enum backend backend, enum family family)
{
    struct tool tool;

    *rules = (struct walk_rules){0};
    if (!save_run(&tool, backend, family, NULL))
        return false;
    if (tool.status == 0)
        return walk_read(rules, tool.said);
    free(tool.said);
    return false;
}
