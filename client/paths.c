#include "client/paths.h"

#include <stdio.h>

bool path_join(char path[static PATH_MAX], const char *directory, const char *name,
               const char *suffix, struct error *why)
{
    int size = snprintf(path, PATH_MAX, "%s/%s%s", directory, name, suffix);

    if (size < 0 || size >= PATH_MAX)
        return error_set(why, "%.100s...: the path is too long", directory);
    return true;
}

bool path_identity(char path[static PATH_MAX], struct error *why)
{
    char directory[PATH_MAX];

    return path_config_directory(directory, why) &&
           path_join(path, directory, "identity", "", why);
}
