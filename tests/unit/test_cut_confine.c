/* privsep/cut/confine: a confined portsmith-cut does its work, and can do nothing else. */
#include "forbidden.h"

#include <linux/netlink.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "netspace.h"
#include "privsep/cut/confine.h"
#include "privsep/cut/serve.h"
#include "privsep/netlink.h"

enum { SUPERVISOR = 20, NEWS = 21 }; /* descriptors of a child's */

static struct cut cut;
static int theirs; /* the supervisor's end is the test's */

static bool as_cut(void)
{
    struct error why;

    cut_open(&cut);
    return dup2(theirs, SUPERVISOR) == SUPERVISOR &&
           dup2(netlink_open(NETLINK_NETFILTER), NEWS) == NEWS && cut_confine(&why);
}

static void do_its_work(void)
{
    struct cut_result result;

    cut_do(&cut, SUPERVISOR, NEWS, &result);
    if (send(SUPERVISOR, &result, sizeof result, MSG_NOSIGNAL) != sizeof result)
        _exit(1);
}

static void check_result(uint32_t deed, enum cut_trouble expected)
{
    const struct cut_door door = {.deed = deed, .id = 1, .service = {6, 22},
                                  .address = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}}};
    struct cut_result result;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    theirs = ends[1];
    assert_int_equal(send(ends[0], &door, sizeof door, 0), sizeof door);
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    assert_true(went_well(confined(as_cut, do_its_work)));
    assert_int_equal(recv(ends[0], &result, sizeof result, MSG_DONTWAIT), sizeof result);
    assert_int_equal(result.trouble, expected);
    close(ends[0]);
    close(ends[1]);
}

static void its_work_goes_on(void **state)
{
    (void)state;
    check_result(CUT_KILL, CUT_DONE);
    check_result(CUT_ASK, CUT_DONE);
    check_result(0, CUT_BROKEN);
}

/* ---- all else ----------------------------------------------------------- */

static void open_a_file(void)
{
    if (open("/dev/null", O_RDONLY) >= 0)
        _exit(1);
}

static void open_a_socket(void)
{
    socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static void start_a_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
}

static void fork_a_process(void)
{
    if (fork() == 0)
        pause();
}

static void signal_the_parent(void)
{
    kill(getppid(), 0);
}

static void map_code(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void become_somebody(void)
{
    if (setuid(1) != 0)
        _exit(1);
}

static void connect_to_another(void)
{
    connect(NEWS, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr));
}

static void join_a_group(void)
{
    setsockopt(NEWS, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &(int){1}, sizeof(int));
}

static void anything_else_kills(void **state)
{
    static void (*const acts[])(void) = {
        open_a_file, open_a_socket, start_a_program, fork_a_process, signal_the_parent,
        map_code, become_somebody, connect_to_another, join_a_group,
    };
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    theirs = ends[1];
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
#ifdef __SANITIZE_ADDRESS__
        if (acts[i] == map_code) /* the sanitizer maps memory */
            continue;
#endif
        if (!was_killed(confined(as_cut, acts[i])))
            fail_msg("act %zu", i);
    }
    close(ends[0]);
    close(ends[1]);
}

/* ---- privileges --------------------------------------------------------- */

static void wait_to_be_seen(void)
{
    char byte = 'x';

    if (send(SUPERVISOR, &byte, 1, MSG_NOSIGNAL) != 1 || recv(SUPERVISOR, &byte, 1, 0) != 1)
        _exit(1);
}

static void assert_status(pid_t child, const char *expected)
{
    char path[64], text[4096] = "";
    int fd;

    snprintf(path, sizeof path, "/proc/%ld/status", (long)child);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    close(fd);
    if (!strstr(text, expected))
        fail_msg("not %s: %s", expected, text);
}

static void it_can_only_administer_the_network(void **state)
{
    int ends[2], status;
    char byte;
    pid_t child;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    theirs = ends[1];
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (as_cut())
            wait_to_be_seen();
        _exit(CHILD_OK);
    }
    assert_true(is_readable(ends[0], 5000));
    assert_int_equal(recv(ends[0], &byte, 1, 0), 1);
    assert_status(child, "NoNewPrivs:\t1");
    assert_status(child, "Seccomp:\t2");
    assert_status(child, "CapInh:\t0000000000001000");
    assert_status(child, "CapPrm:\t0000000000001000");
    assert_status(child, "CapEff:\t0000000000001000");
    assert_status(child, "CapBnd:\t0000000000001000");
    assert_status(child, "CapAmb:\t0000000000000000");
    assert_int_equal(send(ends[0], "x", 1, 0), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(went_well(status));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_work_goes_on),
        cmocka_unit_test(anything_else_kills),
        cmocka_unit_test(it_can_only_administer_the_network),
    };

    return cmocka_run_group_tests(tests, netspace_enter, scratch_leave);
}
