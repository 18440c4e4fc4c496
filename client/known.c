#include "client/known.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/paths.h"
#include "common/file.h"
#include "common/text/nearest.h"

#define SUFFIX ".conf"

enum { NAMES_TOLD = 16 }; /* how many names an error lists */

_Static_assert((int)SERVER_HOST_SIZE <= (int)NEAREST_NAME_SIZE, "names and hosts can be compared");

/* ---- finding ------------------------------------------------------------- */

/* Stores the name of the server whose file is called `file`. False if that is no server file. */
static bool name_of_file(char name[static SERVER_NAME_SIZE], const char *file)
{
    size_t size = strlen(file), end = strlen(SUFFIX);

    if (size <= end || size - end >= SERVER_NAME_SIZE || strcmp(file + size - end, SUFFIX) != 0)
        return false;
    memcpy(name, file, size - end);
    name[size - end] = '\0';
    return server_name_is_valid(name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* `path` is the directory's. */
static bool read_directory(struct known *known, DIR *directory, const char *path,
                           struct error *why)
{
    const struct dirent *entry;
    char name[SERVER_NAME_SIZE];
    void *more;

    while (errno = 0, (entry = readdir(directory))) {
        if (!name_of_file(name, entry->d_name))
            continue;
        more = reallocarray(known->names, known->count + 1, sizeof *known->names);
        if (!more)
            return error_set(why, "out of memory");
        known->names = more;
        strcpy(known->names[known->count++], name);
    }
    if (errno != 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (known->count > 0)
        qsort(known->names, known->count, sizeof *known->names, compare_names);
    return true;
}

bool known_find(struct known *known, struct error *why)
{
    char path[PATH_MAX];
    DIR *directory;
    bool found;

    *known = (struct known){0};
    if (!path_config_directory(path, why))
        return false;
    directory = opendir(path);
    if (!directory)
        return errno == ENOENT || error_set(why, "%s: %s", path, file_explain(errno));
    found = read_directory(known, directory, path, why);
    closedir(directory);
    if (!found)
        known_free(known);
    return found;
}

void known_free(struct known *known)
{
    free(known->names);
    *known = (struct known){0};
}

/* ---- reading ------------------------------------------------------------- */

/* Sets the error that `missing`, as the words for it are, was not found. `meant` is the name
 * that was probably meant, or NULL. */
static bool refuse_unknown(struct error *why, const char *missing, const struct known *known,
                         const char *meant)
{
    char names[sizeof why->text / 2] = "";

    if (known->count == 0)
        return error_set(why, "there is no %s; no server is known yet: write the file, or run "
                              "'portsmith-knock import FILE'", missing);
    for (size_t i = 0; i < known->count && i < NAMES_TOLD; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 known->names[i]);
    return error_set(why, "there is no %s; %s%s%sknown servers: %s%s", missing,
                     meant ? "did you mean '" : "", meant ? meant : "", meant ? "'? " : "", names,
                     known->count > NAMES_TOLD ? ", ..." : "");
}

static void refuse_unknown_name(struct error *why, const char *name, const char *path)
{
    struct nearest nearest = nearest_to(name);
    char missing[PATH_MAX + 20];
    struct known known;
    struct error unread;

    if (!known_find(&known, &unread))
        known = (struct known){0};
    for (size_t i = 0; i < known.count; i++)
        nearest_try(&nearest, known.names[i]);
    snprintf(missing, sizeof missing, "server file %s", path);
    refuse_unknown(why, missing, &known, nearest.found);
    known_free(&known);
}

bool known_check_name(const char *name, struct error *why)
{
    return server_name_is_valid(name) ||
           error_set(why, "'%s' is not a SERVER: expected the name of a file in "
                          "~/.config/portsmith, without its .conf", name);
}

bool known_path(char path[static PATH_MAX], const char *name, struct error *why)
{
    char directory[PATH_MAX];

    return path_config_directory(directory, why) &&
           path_join(path, directory, name, SUFFIX, why);
}

bool known_read(struct server *server, const char *name, struct error *why)
{
    char path[PATH_MAX];

    if (!known_path(path, name, why)) {
        errno = 0; /* no file is missing */
        return false;
    }
    if (server_read(server, path, why))
        return true;
    if (errno == ENOENT) {
        refuse_unknown_name(why, name, path);
        errno = ENOENT;
    }
    return false;
}

/* ---- by host ------------------------------------------------------------- */

/* The known name that is `host`, or differs from it in case alone. NULL if there is none. */
static const char *find_name(const struct known *known, const char *host)
{
    const char *found = NULL;

    for (size_t i = 0; i < known->count; i++) {
        if (strcmp(known->names[i], host) == 0)
            return known->names[i];
        if (!found && strcasecmp(known->names[i], host) == 0)
            found = known->names[i];
    }
    return found;
}

/* The Host of each known server, "" where its file cannot be read. The caller frees the array. NULL
 * with the reason. */
static char (*read_hosts(const struct known *known, struct error *why))[SERVER_HOST_SIZE]
{
    char (*hosts)[SERVER_HOST_SIZE] = calloc(known->count + 1, sizeof *hosts);

    if (!hosts)
        error_set(why, "out of memory");
    for (size_t i = 0; hosts && i < known->count; i++) {
        struct error unread;
        struct server *server = server_new(&unread);

        if (server && known_read(server, known->names[i], &unread))
            strcpy(hosts[i], server->host);
        server_free(server);
    }
    return hosts;
}

/* The known server that has `host` as its Member. NULL if there is none. */
static const char *find_group_of(const struct known *known, const char *host)
{
    const char *found = NULL;

    for (size_t i = 0; i < known->count && !found; i++) {
        struct error unread;
        struct server *server = server_new(&unread);
        bool is_read = server && known_read(server, known->names[i], &unread);

        for (unsigned m = 0; is_read && m < server->member_count; m++)
            if (strcasecmp(server->members[m], host) == 0)
                found = known->names[i];
        server_free(server);
    }
    return found;
}

static bool refuse_unknown_host(struct error *why, const char *host, const struct known *known,
                              char (*hosts)[SERVER_HOST_SIZE])
{
    const char *group = find_group_of(known, host);
    struct nearest nearest = nearest_to(host);
    char missing[128];

    if (group)
        return error_set(why, "'%.200s' is a Member in the server file '%s', and only its Host is "
                              "connected to here; to log in at one member, have ssh knock and "
                              "connect by itself: Match host %.200s exec \"portsmith-knock %s\"",
                         host, group, host, group);
    for (size_t i = 0; i < known->count; i++)
        nearest_try(&nearest, known->names[i]);
    for (size_t i = 0; i < known->count; i++)
        nearest_try(&nearest, hosts[i]);
    snprintf(missing, sizeof missing, "server file that is called '%.60s' or has it as its Host",
             host);
    return refuse_unknown(why, missing, known, nearest.found);
}

/* The name of the server that `host` names. Host counts before the name of the file: so a file that
 * came in a bundle, under a name that somebody else chose, does not take another server's place. If
 * several files have this Host, the one that is also called so is meant. NULL with the reason if no
 * server is meant, or no single one. */
static const char *choose(const struct known *known, char (*hosts)[SERVER_HOST_SIZE],
                          const char *host, struct error *why)
{
    const char *called = find_name(known, host), *found = NULL, *other = NULL;

    for (size_t i = 0; i < known->count; i++) {
        if (strcasecmp(hosts[i], host) != 0)
            continue;
        if (known->names[i] == called)
            return called;
        other = found;
        found = known->names[i];
    }
    if (other)
        error_set(why, "the servers '%s' and '%s' both have the Host '%s'; use one of their names",
                  other, found, host);
    else if (!found && !called)
        refuse_unknown_host(why, host, known, hosts);
    return other ? NULL : found ? found : called;
}

bool known_read_host(struct server *server, const char *host, struct error *why)
{
    char (*hosts)[SERVER_HOST_SIZE];
    struct known known;
    const char *name;
    bool done;

    if (!known_find(&known, why))
        return false;
    hosts = read_hosts(&known, why);
    name = hosts ? choose(&known, hosts, host, why) : NULL;
    done = name && known_read(server, name, why);
    free(hosts);
    known_free(&known);
    return done;
}
