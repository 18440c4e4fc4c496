/* daemon/sniffer/drop: what is left to a process afterwards, and what is said where it fails. */
#include "netspace.h"

#include <cap-ng.h>
#include <errno.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "apart.h"
#include "common/privilege/powerless.h"

enum { SOMEBODY = 65534, SUCCESS = 42, FAILURE = 43, UNPREPARED = 44, LAST_WORDS = 20 };

static bool (*prepare)(void);
static const char *empty;
static void (*afterwards)(void);

static void require(bool condition, int number)
{
    if (!condition)
        _exit(number);
}

static void drop(void)
{
    struct error why;

    require(prepare(), UNPREPARED);
    if (powerless_become(empty, SOMEBODY, SOMEBODY, &why)) {
        afterwards();
        _exit(SUCCESS);
    }
    dprintf(LAST_WORDS, "%s", why.text);
    _exit(FAILURE);
}

/* How a process ends that drops its privileges, and what it says then. */
static int attempt(struct error *said)
{
    int words[2], status;
    pid_t process;

    *said = (struct error){0};
    assert_int_equal(pipe(words), 0);
    process = fork();
    if (process == 0) {
        dup2(words[1], LAST_WORDS);
        end_as_confined(drop);
    }
    close(words[1]);
    status = exit_status_of(process);
    assert_true(read(words[0], said->text, sizeof said->text - 1) >= 0);
    close(words[0]);
    return status;
}

static void check_succeeds(bool (*before)(void), void (*then)(void))
{
    struct error said;
    int status;

    prepare = before;
    empty = "empty";
    afterwards = then;
    status = attempt(&said);
    if (status != SUCCESS)
        fail_msg("status %d: %s", status, said.text);
}

static void check_refused(bool (*before)(void), const char *directory, const char *expected)
{
    struct error said;

    prepare = before;
    empty = directory;
    assert_int_equal(attempt(&said), FAILURE);
    if (!strstr(said.text, expected))
        fail_msg("'%s' instead of '%s'", said.text, expected);
}

static bool as_it_is(void)
{
    return true;
}

/* ---- what is left ------------------------------------------------------- */

static void find_nothing_left(void)
{
    struct rlimit processes, core;
    gid_t groups[1];
    uid_t r, e, s;

    require(getresuid(&r, &e, &s) == 0 && r == SOMEBODY && e == SOMEBODY && s == SOMEBODY, 1);
    require(getresgid(&r, &e, &s) == 0 && r == SOMEBODY && e == SOMEBODY && s == SOMEBODY, 2);
    require(getgroups(1, groups) == 0, 3);
    require(setuid(0) != 0 && setgid(0) != 0, 4);
    require(open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT, 5);
    require(if_nametoindex("here") == 0, 6);
    require(getrlimit(RLIMIT_NPROC, &processes) == 0 && processes.rlim_max == 0, 7);
    require(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0, 8);
    require(prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, 9);
    capng_clear(CAPNG_SELECT_ALL);
    require(capng_get_caps_process() == 0 &&
            capng_have_capabilities(CAPNG_SELECT_ALL) == CAPNG_NONE, 10);
    require(capng_have_capabilities(CAPNG_SELECT_BOUNDS) == CAPNG_NONE, 11);
}

static void nothing_is_left(void **state)
{
    (void)state;
    check_succeeds(as_it_is, find_nothing_left);
}

static bool without(unsigned capability)
{
    return capng_get_caps_process() == 0 &&
           capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability) == 0 &&
           capng_apply(CAPNG_SELECT_CAPS) == 0;
}

static bool without_namespaces(void)
{
    return without(CAP_SYS_ADMIN);
}

static void find_the_network(void)
{
    require(if_nametoindex("here") != 0, 1);
    require(setuid(0) != 0 && errno == EPERM, 2);
}

/* Whoever leaves the capability out keeps the process from the network by other means. */
static void the_network_stays_where_namespaces_cannot_be_made(void **state)
{
    (void)state;
    check_succeeds(without_namespaces, find_the_network);
}

/* ---- what is refused ---------------------------------------------------- */

static void a_directory_that_others_can_change_is_refused(void **state)
{
    static const char expected[] = " must be a directory of root's that nobody else can write";

    (void)state;
    check_refused(as_it_is, "missing", "missing: No such file or directory");
    check_refused(as_it_is, "file", expected);
    check_refused(as_it_is, "link", expected);
    check_refused(as_it_is, "another-s", expected);
    check_refused(as_it_is, "open", expected);
}

static bool without_chroot(void)
{
    return without(CAP_SYS_CHROOT);
}

static bool without_setuid(void)
{
    return without(CAP_SETUID);
}

static void a_missing_capability_is_told(void **state)
{
    (void)state;
    check_refused(without_chroot, "empty",
                  "cannot make empty the root directory: Operation not permitted");
    check_refused(without_setuid, "empty",
                  "cannot become user 65534 without capabilities: Operation not permitted");
}

static bool write_line(const char *path, const char *line)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    bool written = write(file, line, strlen(line)) == (ssize_t)strlen(line);

    close(file);
    return written;
}

/* Made without privilege in the one above: of root alone; the map of groups is given. */
static bool enter_user_namespace(const char *groups)
{
    return unshare(CLONE_NEWUSER) == 0 && write_line("/proc/self/uid_map", "0 0 1") &&
           write_line("/proc/self/setgroups", "deny") && write_line("/proc/self/gid_map", groups);
}

static bool in_a_namespace_of_one_user(void)
{
    return enter_user_namespace("0 0 1");
}

static bool where_groups_cannot_be_set(void)
{
    return enter_user_namespace("65534 0 1");
}

static bool where_networks_are_used_up(void)
{
    return in_a_namespace_of_one_user() && write_line("/proc/sys/user/max_net_namespaces", "0");
}

static void what_a_user_namespace_lacks_is_told(void **state)
{
    (void)state;
    check_refused(in_a_namespace_of_one_user, "empty",
                  "cannot become user 65534 and group 65534: this user namespace does not map them");
    check_refused(where_groups_cannot_be_set, "empty", "cannot give up supplementary groups");
    check_refused(where_networks_are_used_up, "empty",
                  "cannot leave the network: No space left on device");
}

static int make_directories(void **state)
{
    if (netspace_enter(state) != 0)
        return -1;
    run_command("ip link add here type veth peer name there && touch file && "
                "mkdir -m 755 empty another-s && chown 1 another-s && mkdir -m 775 open && "
                "ln -s empty link");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(the_network_stays_where_namespaces_cannot_be_made),
        cmocka_unit_test(a_directory_that_others_can_change_is_refused),
        cmocka_unit_test(a_missing_capability_is_told),
        cmocka_unit_test(what_a_user_namespace_lacks_is_told),
    };

    return cmocka_run_group_tests(tests, make_directories, scratch_leave);
}
