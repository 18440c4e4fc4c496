/* privsep/prepare/confine and privsep/helper/narrow: confined processes do their work with real
 * iptables, and reach nothing else. */
#include "forbidden.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "common/file.h"
#include "netspace.h"
#include "privsep/helper/narrow.h"
#include "privsep/message.h"
#include "privsep/plan.h"
#include "privsep/prepare/confine.h"
#include "privsep/xtables/probe.h"
#include "planned.h"

static enum backend backend;
static struct helper_setup setup = {.shut_count = 1, .shut = {{.protocol = 6, .port = 22}}};
static struct xtables found;

/* A descriptor above those that the helper finds. */
static int open_high(const char *directory)
{
    mkdir(directory, 0700);
    return fcntl(open(directory, O_RDONLY | O_DIRECTORY), F_DUPFD, 20);
}

/* As the helper finds them when it is started. */
static bool open_own_directories(void)
{
    int state = open_high("state"), run = open_high("run");

    return state >= 0 && run >= 0 && dup2(state, HELPER_FD_STATE) >= 0 &&
           dup2(run, HELPER_FD_RUN) >= 0;
}

static struct planned made;
static struct firewall *firewall;

/* With a firewall that was opened before. */
static bool as_prepare(void)
{
    struct error why;

    if (!open_own_directories() || probe_xtables(&found, backend, 0, &why) != PROBE_USABLE)
        return false;
    planned_make(&made, &setup, NULL, 0, &found);
    firewall = helper_firewall_open(made.plan);
    return helper_confine(&found, false, &why);
}

static const struct plan *make_plan(int fd)
{
    const struct policy policy = {.setup = setup};
    const struct ingredients ingredients = {.policy = &policy, .xtables = &found, .rules = made.rules};
    struct marks marks = {.fd = -1};
    struct compiling compiling;
    struct error why;

    return plan_begin(&compiling, fd, &ingredients, &why) &&
                   plan_end(&compiling, &policy, &marks, &why)
               ? plan_map(fd, &why)
               : NULL;
}

static bool as_helper(void)
{
    int fd = memfd_create("plan", MFD_ALLOW_SEALING);
    const struct plan *plan;
    struct error why;

    if (fd < 0 || !as_prepare())
        return false;
    plan = make_plan(fd);
    return plan && helper_narrow(plan, &why);
}

static void require(bool condition, int number)
{
    if (!condition)
        _exit(number);
}

static bool is_denied(int result)
{
    return result < 0 && errno == EACCES;
}

static int start(const char *path)
{
    char *const argv[] = {strdupa(path), NULL}, *const environment[] = {NULL};
    pid_t child;

    errno = posix_spawn(&child, path, NULL, NULL, argv, environment);
    return errno ? -1 : 0;
}

/* ---- its work ----------------------------------------------------------- */

/* As the C library does for syslog and its name service cache. */
static void ask_a_service(void)
{
    struct sockaddr bus = {.sa_family = AF_UNIX};

    require(is_denied(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)), 1);
    require(is_denied(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), 2);
    require(is_denied(connect(STDIN_FILENO, &bus, sizeof bus)), 3);
}

static void change_the_firewall(void)
{
    struct granttable table = {0};
    struct grants grants = {0};
    struct error why;

    helper_firewall_begin(firewall, &table);
    for (enum family family = IPV4; family < FAMILIES; family++)
        require(!found.in_use[family] ||
                    helper_iptables_establish(firewall, family, &grants, &why),
                1 + (int)family);
    helper_firewall_close(firewall);
}

static void write_its_files(void)
{
    struct error why;
    int marks = openat(HELPER_FD_STATE, "marks", O_RDWR | O_CREAT, 0600);

    require(marks >= 0 && pwrite(marks, "x", 1, 0) == 1 && fdatasync(marks) == 0, 1);
    require(file_replace(HELPER_FD_RUN, "grants", 0600, "x", 1, &why), 2);
    require(file_replace(HELPER_FD_RUN, "grants", 0600, "y", 1, &why), 3);
    require(unlinkat(HELPER_FD_RUN, "grants", 0) == 0, 4);
}

/* With glibc before 2.39, waitpid is what posix_spawn waits with. */
static void outlive_a_program_that_cannot_be_started(void)
{
    siginfo_t ended;

    require(start("/nonexistent") < 0, 1);
    require(waitid(P_ALL, 0, &ended, WEXITED) < 0 && errno == ECHILD, 2);
}

static void work_goes_on(void **state)
{
    (void)state;
    assert_int_equal(confined(as_prepare, write_its_files), CHILD_OK << 8);
    assert_int_equal(confined(as_prepare, change_the_firewall), CHILD_OK << 8);
    assert_int_equal(confined(as_helper, outlive_a_program_that_cannot_be_started), CHILD_OK << 8);
    assert_int_equal(confined(as_helper, change_the_firewall), CHILD_OK << 8);
    assert_int_equal(confined(as_helper, ask_a_service), CHILD_OK << 8);
}

/* ---- other files -------------------------------------------------------- */

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

/* All of them root's own, and the permissions would let it. */
static void reach_for_others(void)
{
    require(is_denied(open("/etc/passwd", O_RDONLY)), 1);
    require(is_denied(open("/etc/portsmith-test", O_WRONLY | O_CREAT, 0600)), 2);
    require(is_denied(open("/run/portsmith-test", O_WRONLY | O_CREAT, 0600)), 3);
    require(is_denied(open("/lib/portsmith-test", O_WRONLY | O_CREAT, 0600)), 4);
    require(is_denied(open("other", O_RDONLY)), 5);
    require(is_denied(open("/", O_RDONLY | O_DIRECTORY)), 6);
    require(is_denied(open("/proc/1/environ", O_RDONLY)), 7);
    require(is_denied(unlinkat(HELPER_FD_STATE, "marks", 0)), 8);
    require(is_denied(start("/bin/true")), 9);
    require(is_denied(start("/bin/sh")), 10);
    /* What portsmith-firewall keeps for boot, and what keeps portsmithd from starting. */
    require(is_denied(openat(HELPER_FD_STATE, "firewall", O_WRONLY)), 11);
    require(is_denied(openat(HELPER_FD_STATE, "firewall", O_RDONLY)), 12);
    require(is_denied(openat(HELPER_FD_STATE, "trial", O_WRONLY | O_CREAT, 0600)), 13);
    require(is_denied(renameat(HELPER_FD_RUN, "forged", HELPER_FD_STATE, "firewall")), 14);
}

/* What portsmith-prepare could reach still. */
static void reach_back(void)
{
    require(is_denied(openat(HELPER_FD_STATE, "marks", O_RDWR)), 1);
    require(is_denied(openat(HELPER_FD_RUN, "forged", O_RDONLY)), 2);
    require(is_denied(openat(HELPER_FD_RUN, "new", O_WRONLY | O_CREAT, 0600)), 3);
    require(is_denied(open("/proc/sys/kernel/random/boot_id", O_RDONLY)), 4);
}

static void other_files_are_out_of_reach(void **state)
{
    (void)state;
    if (!has_landlock())
        skip();
    scratch_write_text("other", 0600, "x");
    mkdir("state", 0700);
    mkdir("run", 0700);
    scratch_write_text("state/firewall", 0600, "x");
    scratch_write_text("run/forged", 0600, "y");
    assert_int_equal(confined(as_prepare, reach_for_others), CHILD_OK << 8);
    assert_int_equal(confined(as_helper, reach_back), CHILD_OK << 8);
}

static void signal_the_parent(void)
{
    require(kill(getppid(), 0) < 0 && errno == EPERM, 1);
}

static void processes_that_it_did_not_start_are_out_of_reach(void **state)
{
    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 6) /* which knows no signals */
        skip();
    assert_int_equal(confined(as_prepare, signal_the_parent), CHILD_OK << 8);
}

/* ---- other system calls ------------------------------------------------- */

static void trace_another(void)
{
    ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static void mount_something(void)
{
    mount("none", "/", "tmpfs", 0, NULL);
}

static void open_a_tcp_socket(void)
{
    socket(AF_INET, SOCK_STREAM, 0);
}

static void open_a_packet_socket(void)
{
    socket(AF_PACKET, SOCK_RAW, 0);
}

static void open_an_audit_socket(void)
{
    socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
}

static void limit_another(void)
{
    static const struct rlimit none = {0, 0};

    prlimit(getppid(), RLIMIT_NOFILE, &none, NULL);
}

static void empty_a_library(void)
{
    if (open("/lib/portsmith-test", O_RDONLY | O_TRUNC) >= 0)
        _exit(1);
}

static void have_a_signal_sent(void)
{
    fcntl(STDIN_FILENO, F_SETOWN, getppid());
}

static void make_a_namespace(void)
{
    unshare(CLONE_NEWNET);
}

static void change_user(void)
{
    if (setuid(1) != 0)
        _exit(1);
}

static void change_a_mode(void)
{
    chmod("/etc", 0777);
}

static void make_a_directory(void)
{
    mkdir("directory", 0700);
}

static void remove_a_file(void)
{
    unlinkat(AT_FDCWD, "other", 0);
}

static void rename_a_file(void)
{
    renameat(AT_FDCWD, "other", AT_FDCWD, "another");
}

static void make_a_timer(void)
{
    timerfd_create(CLOCK_BOOTTIME, 0);
}

static void become_dumpable(void)
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void enter_another_filter(void)
{
    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL);
}

static void enter_other_landlock_rules(void)
{
    syscall(SYS_landlock_restrict_self, -1, 0);
}

static void seal_something(void)
{
    fcntl(STDIN_FILENO, F_ADD_SEALS, F_SEAL_SEAL);
}

static void make_memory_with_a_name(void)
{
    if (memfd_create("memory", 0) >= 0)
        _exit(1);
}

/* Of prepare's calls those that the helper has given up. */
static void what_only_the_start_needed_kills(void **state)
{
    static void (*const acts[])(void) = {
        remove_a_file,        rename_a_file,              make_a_timer,   become_dumpable,
        enter_another_filter, enter_other_landlock_rules, seal_something, make_memory_with_a_name,
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        assert_true(was_killed(confined(as_helper, acts[i])));
}

static void anything_else_kills(void **state)
{
    static void (*const acts[])(void) = {
        trace_another,        mount_something,      open_a_tcp_socket, open_a_packet_socket,
        open_an_audit_socket, limit_another,        make_a_namespace,  change_user,
        change_a_mode,        make_a_directory,     empty_a_library,   have_a_signal_sent,
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        assert_true(was_killed(confined(as_prepare, acts[i])));
}

static int use_nft(void **state)
{
    backend = BACKEND_NFT;
    return netspace_enter(state);
}

static int use_legacy(void **state)
{
    backend = BACKEND_LEGACY;
    return netspace_enter(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_goes_on),
        cmocka_unit_test(other_files_are_out_of_reach),
        cmocka_unit_test(processes_that_it_did_not_start_are_out_of_reach),
        cmocka_unit_test(anything_else_kills),
        cmocka_unit_test(what_only_the_start_needed_kills),
    };

    return cmocka_run_group_tests_name("nft", tests, use_nft, scratch_leave) +
           cmocka_run_group_tests_name("legacy", tests, use_legacy, scratch_leave);
}
