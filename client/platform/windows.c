/* Whose files are where, on Windows, and what cannot be had there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/agent.h"
#include "client/paths.h"
#include "client/platform/platform.h"
#include "common/text/timekeeping.h"

/* ---- paths ---------------------------------------------------------------- */

bool platform_is_absolute(const char *path)
{
    return path[0] == '/' || path[0] == '\\' || (path[0] != '\0' && path[1] == ':');
}

const char *platform_last_separator(const char *path)
{
    const char *last = NULL;

    for (; *path; path++)
        if (*path == '/' || *path == '\\')
            last = path;
    return last;
}

/* Writes a directory that Windows has told every process of, as paths are written here. */
static bool find_directory(char path[static PATH_MAX], const char *variable, struct error *why)
{
    const char *found = getenv(variable);

    if (!found || !platform_is_absolute(found) || strlen(found) >= PATH_MAX)
        return error_set(why, "the variable %s names no directory; Windows sets it as you log on",
                         variable);
    strcpy(path, found);
    for (char *at = path; *at; at++)
        if (*at == '\\')
            *at = '/';
    return true;
}

bool path_home(char path[static PATH_MAX], struct error *why)
{
    return find_directory(path, "USERPROFILE", why);
}

/* Not the directory that roams: an identity is a device's own. */
bool path_config_directory(char path[static PATH_MAX], struct error *why)
{
    char base[PATH_MAX];

    return find_directory(base, "LOCALAPPDATA", why) && path_join(path, base, "portsmith", "", why);
}

bool path_state_directory(char path[static PATH_MAX], struct error *why)
{
    char base[PATH_MAX];

    return path_config_directory(base, why) && path_join(path, base, "state", "", why);
}

/* A link is not followed: file_open refuses it. */
bool path_follow(char real[static PATH_MAX], const char *path, struct error *why)
{
    if (snprintf(real, PATH_MAX, "%s", path) < PATH_MAX)
        return true;
    return error_set(why, "%.100s...: the path is too long", path);
}

/* ---- locks ---------------------------------------------------------------- */

/* Of a byte that no file reaches: a lock on what is there would keep readers out. */
int platform_open_locked(const char *path)
{
    OVERLAPPED beyond = {.OffsetHigh = 1};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || LockFileEx((HANDLE)_get_osfhandle(fd), LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &beyond))
        return fd;
    windows_fail(GetLastError());
    close(fd);
    return -1;
}

/* ---- what cannot be had --------------------------------------------------- */

bool timekeeping_is_synchronised(void)
{
    return false; /* nothing that Windows tells a process says so */
}

/* The ssh-agent of OpenSSH for Windows listens to a named pipe. */
bool agent_path(char path[static PATH_MAX], const char *named, struct error *why)
{
    (void)path;
    (void)named;
    return error_set(why, "the client for Windows asks no ssh-agent: knock with an identity in "
                          "place of SSHKey ('portsmith-knock keygen'), which the server's admin "
                          "adds");
}

bool agent_find(const char *path, const struct ssh_key *key,
                char comment[static AGENT_COMMENT_SIZE], struct error *why)
{
    char unused[PATH_MAX];

    (void)key;
    comment[0] = '\0';
    return agent_path(unused, path, why);
}

bool agent_sign(const char *path, const struct ssh_key *key,
                const uint8_t blob[static SSH_BLOB_SIZE], agent_teller *tell,
                struct signature *signature, struct error *why)
{
    char unused[PATH_MAX];

    (void)key;
    (void)blob;
    (void)tell;
    (void)signature;
    return agent_path(unused, path, why);
}
