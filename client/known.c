#include "known.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"
#include "paths.h"

#define SUFFIX ".conf"

enum { NAMES_TOLD = 16 }; /* in an error */

_Static_assert((int)SERVER_NAME_SIZE <= (int)NEAREST_NAME_SIZE, "a server's name can be compared");

/* ---- finding ------------------------------------------------------------- */

/* The name of the server whose file this is; false if it is no server's. */
static bool name_of_file(char name[static SERVER_NAME_SIZE], const char *file)
{
    size_t size = strlen(file), end = strlen(SUFFIX);

    if (size <= end || size - end >= SERVER_NAME_SIZE || strcmp(file + size - end, SUFFIX) != 0)
        return false;
    memcpy(name, file, size - end);
    name[size - end] = '\0';
    return server_name_is_valid(name);
}

static bool add_name(struct known *known, const char *name)
{
    void *more = reallocarray(known->names, known->count + 1, sizeof *known->names);

    if (!more)
        return false;
    known->names = more;
    strcpy(known->names[known->count++], name);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool read_directory(struct known *known, DIR *directory, struct error *why)
{
    const struct dirent *entry;

    while ((entry = readdir(directory))) {
        char name[SERVER_NAME_SIZE];

        if (name_of_file(name, entry->d_name) && !add_name(known, name))
            return error_set(why, "out of memory");
    }
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
        return errno == ENOENT || error_set(why, "%s: %s", path, strerror(errno));
    found = read_directory(known, directory, why);
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

/* NULL if none is near. */
static const char *nearest_known(const struct known *known, const char *name)
{
    struct nearest nearest = nearest_to(name);

    for (size_t i = 0; i < known->count; i++)
        nearest_try(&nearest, known->names[i]);
    return nearest.found;
}

static void tell_unknown(struct error *why, const char *name, const char *path)
{
    struct known known;
    struct error unread;
    char names[sizeof why->text / 2] = "";
    const char *meant;

    if (!known_find(&known, &unread) || known.count == 0) {
        error_set(why, "there is no server file %s; no server is known yet: write the file, or run "
                       "'portsmith-knock import FILE'", path);
        return;
    }
    meant = nearest_known(&known, name);
    for (size_t i = 0; i < known.count && i < NAMES_TOLD; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 known.names[i]);
    error_set(why, "there is no server file %s; %s%s%sknown servers: %s%s", path,
              meant ? "did you mean '" : "", meant ? meant : "", meant ? "'? " : "", names,
              known.count > NAMES_TOLD ? ", ..." : "");
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

    errno = 0;
    if (!known_path(path, name, why))
        return false;
    if (server_read(server, path, why))
        return true;
    if (errno == ENOENT) {
        tell_unknown(why, name, path);
        errno = ENOENT;
    }
    return false;
}
