#include "common/privilege/powerless.h"

#include <cap-ng.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/linux/process.h"

enum { CHANGE_OF_GID = -4, CHANGE_OF_GROUPS = -5, CHANGE_OF_UID = -6 }; /* capng_change_id(3) */

/* Makes the directory the process's root, after making sure that nobody could have filled it. */
static bool enter(const char *empty, struct error *why)
{
    struct stat s;

    if (lstat(empty, &s) != 0)
        return error_set(why, "%s: %s", empty, strerror(errno));
    if (!S_ISDIR(s.st_mode) || s.st_uid != 0 || (s.st_mode & 022))
        return error_set(why, "%s must be a directory of root's that nobody else can write", empty);
    if (chroot(empty) != 0 || chdir("/") != 0)
        return error_set(why, "cannot make %s the root directory: %s", empty, strerror(errno));
    return true;
}

/* Moves the process into a network namespace of its own, with nothing in it: a socket that the
 * process could still make leads nowhere. The captures stay where they were opened. Without
 * CAP_SYS_ADMIN, which portsmithd.service leaves out, there is no such namespace; the service has
 * IPAddressDeny instead. Further processes are forbidden, so that all ends with this one. */
static bool isolate(struct error *why)
{
    static const struct rlimit none = {0, 0};
    bool may_unshare;

    capng_clear(CAPNG_SELECT_ALL);
    may_unshare = capng_get_caps_process() != 0 ||
                  capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
    if (may_unshare && unshare(CLONE_NEWNET) != 0)
        return error_set(why, "cannot leave the network: %s", strerror(errno));
    if (setrlimit(RLIMIT_NPROC, &none) != 0)
        return error_set(why, "cannot forbid further processes: %s", strerror(errno));
    return true;
}

/* Tries to get back what was given up: whatever works here, or is left, an attacker would have. */
static bool is_powerless(uid_t uid, gid_t gid)
{
    uid_t ruid, euid, suid;
    gid_t rgid, egid, sgid;

    if (getresuid(&ruid, &euid, &suid) != 0 || getresgid(&rgid, &egid, &sgid) != 0)
        return false;
    if (ruid != uid || euid != uid || suid != uid || rgid != gid || egid != gid || sgid != gid)
        return false;
    if (getgroups(0, NULL) != 0 || setuid(0) == 0 || setgid(0) == 0 || chroot("/") == 0)
        return false;
    capng_clear(CAPNG_SELECT_ALL);
    return capng_get_caps_process() == 0 && capng_have_capabilities(CAPNG_SELECT_ALL) == CAPNG_NONE;
}

/* Says why capng_change_id(3) failed, whose `result` tells the step. The ids may not be mapped in
 * this user namespace (EINVAL). Root of a user namespace that was made without privilege may not
 * change its supplementary groups (user_namespaces(7), setgroups). */
static bool explain_change(int result, uid_t uid, gid_t gid, struct error *why)
{
    int error = errno;

    if (error == EINVAL && (result == CHANGE_OF_GID || result == CHANGE_OF_UID))
        return error_set(why, "cannot become user %u and group %u: this user namespace does not "
                              "map them (/proc/self/uid_map, gid_map); map them, or set User to "
                              "one that is mapped", uid, gid);
    if (result == CHANGE_OF_GROUPS)
        return error_set(why, "cannot give up supplementary groups: %s (/proc/self/setgroups)",
                         strerror(error));
    return error_set(why, "cannot become user %u without capabilities: %s", uid, strerror(error));
}

bool powerless_become(const char *empty, uid_t uid, gid_t gid, struct error *why)
{
    int changed;

    if (!enter(empty, why) || !isolate(why))
        return false;
    capng_clear(CAPNG_SELECT_ALL);
    changed = capng_change_id((int)uid, (int)gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    if (changed != 0)
        return explain_change(changed, uid, gid, why);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(why, "cannot set no_new_privs: %s", strerror(errno));
    if (!is_powerless(uid, gid))
        return error_set(why, "privileges that were given up are still there");
    return process_forbid_core_dumps(why); /* last, as a change of user resets it */
}
