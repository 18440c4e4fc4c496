#include "privsep/prepare/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "privsep/message.h"

/* What headers of older kernels lack; values from <linux/landlock.h> of 6.12. */
struct ruleset {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

#define ACCESS_FS_TRUNCATE (1ULL << 14)
#define ACCESS_FS_IOCTL_DEV (1ULL << 15)
#define ACCESS_NET_TCP 3ULL /* to bind, to connect */
#define SCOPE_ALL 3ULL      /* abstract sockets, signals */

#define READ LANDLOCK_ACCESS_FS_READ_FILE
#define WRITE LANDLOCK_ACCESS_FS_WRITE_FILE
#define LOCK "/run/xtables.lock"
#define RUN (LANDLOCK_ACCESS_FS_EXECUTE | READ)

static const struct {
    const char *path; /* if it is there */
    uint64_t access;
} rules[] = {
    {"/lib", READ},
    {"/lib64", READ},
    {"/usr/lib", READ},
    {"/usr/lib64", READ},
    {"/usr/share/zoneinfo/UTC", READ},
    {"/etc/ld.so.cache", READ},
    {"/etc/ld.so.preload", READ},
    {"/etc/localtime", READ},
    {"/etc/nsswitch.conf", READ},
    {"/etc/gai.conf", READ},
    {"/etc/protocols", READ},
    {"/etc/services", READ},
    {LOCK, READ | WRITE},
};

/* Returns all kinds of access that a version of Landlock, 1 to 6, handles (linux/landlock.h). What
 * is handled is forbidden unless a rule allows it. */
static struct ruleset everything_known_to(long version)
{
    struct ruleset all = {.handled_access_fs = LANDLOCK_ACCESS_FS_REFER - 1};

    if (version >= 2)
        all.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        all.handled_access_fs |= ACCESS_FS_TRUNCATE;
    if (version >= 4)
        all.handled_access_net = ACCESS_NET_TCP;
    if (version >= 5)
        all.handled_access_fs |= ACCESS_FS_IOCTL_DEV;
    if (version >= 6)
        all.scoped = SCOPE_ALL;
    return all;
}

static bool allow(int ruleset, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};

    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static bool allow_path(int ruleset, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    bool done;

    if (fd < 0)
        return errno == ENOENT;
    done = allow(ruleset, fd, access);
    close(fd);
    return done;
}

struct allowing {
    int ruleset;
    bool failed;
};

/* Allows a library of this program, which the helper, or the log, has as well: it may lie where no
 * iptables looks. */
static int allow_library(struct dl_phdr_info *library, size_t size, void *into)
{
    struct allowing *allowing = into;

    (void)size;
    if (library->dlpi_name[0] == '/' && !allow_path(allowing->ruleset, library->dlpi_name, READ))
        allowing->failed = true;
    return 0;
}

/* Allows the dynamic loader that a program names, if it names one: that is run like a program. */
static bool allow_loader_of(int ruleset, const char *program)
{
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    char path[PATH_MAX] = "";
    ElfW(Ehdr) elf = {.e_phnum = 0};
    ElfW(Phdr) part;

    if (fd < 0)
        return errno == ENOENT;
    if (pread(fd, &elf, sizeof elf, 0) != sizeof elf || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0)
        elf.e_phnum = 0;
    for (unsigned i = 0; i < elf.e_phnum; i++)
        if (pread(fd, &part, sizeof part, (off_t)(elf.e_phoff + i * sizeof part)) == sizeof part &&
            part.p_type == PT_INTERP && part.p_filesz < sizeof path &&
            pread(fd, path, part.p_filesz, (off_t)part.p_offset) < 0)
            break;
    close(fd);
    return !path[0] || allow_path(ruleset, path, RUN);
}

/* Allows the file of marks, and makes it if it is not there. The rest of the state directory is not
 * allowed, as what opens ports at the next boot lies there. Where the file cannot be made,
 * helper_marks_open, which comes when ports are shut, cannot open it either, and says why. */
static bool allow_marks(int ruleset)
{
    int fd = openat(HELPER_FD_STATE, "marks", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool done;

    if (fd < 0)
        return true;
    done = allow(ruleset, fd, READ | WRITE);
    close(fd);
    return done;
}

/* Allows what programs reach: those of iptables, or only the helper while it is started. */
static bool allow_programs(int ruleset, const struct xtables *found)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!allow_path(ruleset, rules[i].path, rules[i].access))
            return false;
    for (enum family family = IPV4; family < FAMILIES; family++)
        if (found->backend != BACKEND_NFTABLES && found->in_use[family] &&
            !(allow_path(ruleset, found->paths[family], RUN) &&
              allow_loader_of(ruleset, found->paths[family])))
            return false;
    return allow_loader_of(ruleset, PORTSMITH_HELPER);
}

/* Allows what is reached until the helper serves. */
static bool allow_preparing(int ruleset)
{
    struct allowing libraries = {.ruleset = ruleset};

    dl_iterate_phdr(allow_library, &libraries);
    return !libraries.failed && allow_path(ruleset, PORTSMITH_HELPER, RUN) &&
           allow_path(ruleset, PORTSMITH_HELPER "-sets", RUN) &&
           allow_path(ruleset, PORTSMITH_HELPER "-nftables", RUN) &&
           allow_path(ruleset, "/proc/sys/kernel/random/boot_id", READ) &&
           allow_marks(ruleset) &&
           allow(ruleset, HELPER_FD_RUN, READ | WRITE | LANDLOCK_ACCESS_FS_MAKE_REG |
                                             LANDLOCK_ACCESS_FS_REMOVE_FILE);
}

/* Makes rules, which allow nothing yet, at the descriptor `fd`, which the next program inherits, or
 * with -1 at any. -1 with errno. */
static int make_ruleset(const struct ruleset *all, int fd)
{
    int made = (int)syscall(SYS_landlock_create_ruleset, all, sizeof *all, 0);
    int moved;

    if (made < 0 || fd < 0)
        return made;
    moved = dup2(made, fd);
    close(made);
    return moved;
}

bool helper_landlock_enter(const struct xtables *found, struct error *why)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset all;
    int ours, helpers;
    bool done;

    if (version < 1) {
        log_warnx("this kernel has no Landlock, or it is not switched on: only file permissions "
                  "keep the helper from other files");
        return true;
    }
    all = everything_known_to(version);
    ours = make_ruleset(&all, -1);
    helpers = make_ruleset(&all, HELPER_FD_LANDLOCK);
    if (ours < 0 || helpers < 0)
        return error_set(why, "cannot make Landlock rules: %s", strerror(errno));
    done = (found->backend == BACKEND_NFTABLES || allow_programs(helpers, found)) &&
           allow_programs(ours, found) &&
           allow_preparing(ours) && syscall(SYS_landlock_restrict_self, ours, 0) == 0;
    if (!done)
        error_set(why, "cannot put Landlock rules in force: %s", strerror(errno));
    close(ours);
    return done;
}
