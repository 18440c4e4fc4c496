/* Whose files are where, on POSIX: by users and modes. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/paths.h"
#include "client/platform/platform.h"

/* ---- paths ---------------------------------------------------------------- */

bool platform_is_absolute(const char *path)
{
    return path[0] == '/';
}

const char *platform_last_separator(const char *path)
{
    return strrchr(path, '/');
}

/* ---- whose they are ------------------------------------------------------ */

enum { RECORD_SIZE = 4096 }; /* of the user database; longer ones are as if they were not there */

/* The user's record, whose text is in `record`. False if there is none. */
static bool find_user(uid_t id, struct passwd *user, char record[static RECORD_SIZE])
{
    struct passwd *found;

    return getpwuid_r(id, user, record, RECORD_SIZE, &found) == 0 && found;
}

/* Stores the owner of the directory or, if it is not there yet, of the one that it would be
 * made in. False if that cannot be seen. */
static bool find_owner(const char *directory, uid_t *owner)
{
    char at[PATH_MAX];
    struct stat s;

    if (strlen(directory) >= sizeof at)
        return false;
    strcpy(at, directory);
    while (stat(at, &s) != 0) {
        char *slash = strrchr(at, '/');

        if (errno != ENOENT || at[1] == '\0')
            return false;
        slash[slash == at] = '\0'; /* the root directory is its slash */
    }
    *owner = s.st_uid;
    return true;
}

static bool belongs_to(uid_t user, const char *directory)
{
    uid_t owner;

    return find_owner(directory, &owner) && owner == user;
}

/* Sets the error that the variable names another user's directory. That user could no longer use
 * what root makes there. */
static bool refuse_as_root(struct error *why, const char *variable, const char *directory)
{
    char record[RECORD_SIZE];
    struct passwd user;
    uid_t owner;
    bool known = find_owner(directory, &owner) && find_user(owner, &user, record);

    return error_set(why, "%s is %.200s, which belongs to %s, and this is run by root: run it as "
                          "that user, or unset %s to have root's own files", variable, directory,
                     known ? user.pw_name : "another user", variable);
}

/* A program that changes the user, such as setpriv(1), may leave HOME as it was; ssh(1) asks the user
 * database alone, and would look elsewhere. A user who is not in the database has only HOME. */
bool path_home(char path[static PATH_MAX], struct error *why)
{
    char record[RECORD_SIZE];
    struct passwd user;
    const char *own = find_user(geteuid(), &user, record) && user.pw_dir[0] == '/' ? user.pw_dir
                                                                                   : NULL;
    const char *home = getenv("HOME");

    if (!home || home[0] != '/')
        home = own;
    if (!home)
        return error_set(why, "your home directory is not known; set HOME");
    if (own && strcmp(home, own) != 0 && !belongs_to(geteuid(), home)) {
        if (geteuid() == 0)
            return refuse_as_root(why, "HOME", home);
        home = own;
    }
    if (strlen(home) >= PATH_MAX)
        return error_set(why, "%.100s...: the path is too long", home);
    strcpy(path, home);
    return true;
}

/* Writes the path of the directory "portsmith" below the one that the variable names. The XDG
 * specification has relative values ignored. A directory of root's may have been made for this
 * user. */
static bool base_directory(char path[static PATH_MAX], const char *variable, const char *fallback,
                           struct error *why)
{
    const char *base = getenv(variable);
    bool given = base && base[0] == '/';
    char home[PATH_MAX];

    if (given && (belongs_to(geteuid(), base) || belongs_to(0, base)))
        return path_join(path, base, "portsmith", "", why);
    if (given && geteuid() == 0)
        return refuse_as_root(why, variable, base);
    return path_home(home, why) && path_join(path, home, fallback, "/portsmith", why);
}

bool path_config_directory(char path[static PATH_MAX], struct error *why)
{
    return base_directory(path, "XDG_CONFIG_HOME", ".config", why);
}

bool path_state_directory(char path[static PATH_MAX], struct error *why)
{
    return base_directory(path, "XDG_STATE_HOME", ".local/state", why);
}

/* ---- symbolic links ------------------------------------------------------ */

static bool check_directory(const char *path, struct error *why)
{
    struct stat s;

    if (stat(path, &s) != 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (s.st_uid != geteuid() && s.st_uid != 0)
        return error_set(why, "%s: belongs to user %u, who could replace files in it: no "
                              "symbolic link is followed there", path, s.st_uid);
    /* In a sticky directory nobody removes what is another user's. */
    if ((s.st_mode & 022) && !(s.st_mode & S_ISVTX))
        return error_set(why, "%s: mode %04o is too open for what a symbolic link leads to; run: "
                              "chmod go-w %s", path, s.st_mode & 07777u, path);
    return true;
}

static bool check_directories_above(const char *path, struct error *why)
{
    char above[PATH_MAX];
    char *slash;

    strcpy(above, path);
    while ((slash = strrchr(above, '/')) && slash != above) {
        *slash = '\0';
        if (!check_directory(above, why))
            return false;
    }
    return check_directory("/", why);
}

bool path_follow(char real[static PATH_MAX], const char *path, struct error *why)
{
    struct stat s;

    if (lstat(path, &s) != 0 || !S_ISLNK(s.st_mode)) {
        if (snprintf(real, PATH_MAX, "%s", path) < PATH_MAX)
            return true;
        errno = ENAMETOOLONG;
        return error_set(why, "%.100s...: the path is too long", path);
    }
    /* The kernel does not follow another user's link in a sticky directory
     * (fs.protected_symlinks). realpath(3) would, as it reads one link after the other itself. */
    if (stat(path, &s) == 0 && realpath(path, real))
        return check_directories_above(real, why);
    error_set(why, "%s: a symbolic link that leads nowhere: %s", path, strerror(errno));
    errno = ELOOP; /* the link itself is there */
    return false;
}

/* ---- locks ---------------------------------------------------------------- */

int platform_open_locked(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

    while (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        close(fd);
        return -1;
    }
    return fd;
}
