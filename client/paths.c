#include "paths.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool path_join(char path[static PATH_MAX], const char *directory, const char *name,
               const char *suffix, struct error *why)
{
    int size = snprintf(path, PATH_MAX, "%s/%s%s", directory, name, suffix);

    if (size < 0 || size >= PATH_MAX)
        return error_set(why, "%.100s...: the path is too long", directory);
    return true;
}

static const char *home_directory(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user;

    if (home && home[0] == '/')
        return home;
    user = getpwuid(geteuid());
    return user && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

/* The XDG specification has relative values ignored. */
static bool base_directory(char path[static PATH_MAX], const char *variable, const char *fallback,
                           struct error *why)
{
    const char *base = getenv(variable);
    const char *home;

    if (base && base[0] == '/')
        return path_join(path, base, "portsmith", "", why);
    home = home_directory();
    if (!home)
        return error_set(why, "your home directory is not known; set HOME or %s", variable);
    return path_join(path, home, fallback, "/portsmith", why);
}

bool path_config_directory(char path[static PATH_MAX], struct error *why)
{
    return base_directory(path, "XDG_CONFIG_HOME", ".config", why);
}

bool path_state_directory(char path[static PATH_MAX], struct error *why)
{
    return base_directory(path, "XDG_STATE_HOME", ".local/state", why);
}

bool path_identity(char path[static PATH_MAX], struct error *why)
{
    char directory[PATH_MAX];

    return path_config_directory(directory, why) &&
           path_join(path, directory, "identity", "", why);
}
