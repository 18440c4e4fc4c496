/* daemon/supervisor/confine, daemon/sniffer/confine, daemon/witness/confine: what they leave works,
 * all else kills. */
#include "forbidden.h"

#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/sniffer/confine.h"
#include "daemon/supervisor/confine.h"
#include "daemon/witness/confine.h"

static int peer[2], other[2], log_socket;

static bool as_sniffer(void)
{
    struct error why;

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && sniffer_confine(peer[0], &why);
}

static bool as_witness(void)
{
    struct error why;

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && witness_confine(&why);
}

static bool as_supervisor(void)
{
    struct error why;

    return supervisor_confine(&why);
}

/* ---- the sniffer -------------------------------------------------------- */

static void send_elsewhere(void)
{
    send(other[0], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void write_elsewhere(void)
{
    if (write(other[0], "x", 1) == 1)
        _exit(1);
}

static void make_a_socket(void)
{
    socket(AF_INET, SOCK_STREAM, 0);
}

static void open_a_file(void)
{
    open("/dev/null", O_RDONLY);
}

static void start_a_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
}

static void kill_somebody(void)
{
    kill(getppid(), 0);
}

static void change_the_filter(void)
{
    setsockopt(other[0], SOL_SOCKET, SO_RCVBUF, "1234", 4);
}

static void anything_else_kills_the_sniffer(void **state)
{
    static void (*const acts[])(void) = {send_elsewhere, write_elsewhere, make_a_socket, open_a_file,
                                         start_a_program, kill_somebody, change_the_filter};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        assert_true(was_killed(confined(as_sniffer, acts[i])));
}

static void talk_to_the_peer(void)
{
    struct pollfd p = {.fd = peer[0], .events = POLLIN};
    char byte = 'x';

    if (send(peer[0], &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1 || poll(&p, 1, 0) != 0 ||
        recv(peer[0], &byte, 1, MSG_DONTWAIT) >= 0)
        _exit(1);
}

static void the_sniffer_s_work_goes_on(void **state)
{
    (void)state;
    assert_true(went_well(confined(as_sniffer, talk_to_the_peer)));
}

#ifdef PORTSMITH_NAME_CALLS
static void what_was_forbidden_is_named(void **state)
{
    char said[200] = "";
    int ends[2], before = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    assert_true(was_killed(confined(as_sniffer, open_a_file)));
    dup2(before, STDERR_FILENO);
    close(before);
    assert_true(read(ends[0], said, sizeof said - 1) > 0);
    assert_non_null(strstr(said, "the forbidden system call openat"));
}
#endif

/* ---- the witness -------------------------------------------------------- */

/* By the socket to the log, which was made in the host's network. */
static void send_to_another_service(void)
{
    struct sockaddr_un service = {.sun_family = AF_UNIX, .sun_path = "\0portsmith-test"};

    sendto(log_socket, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&service,
           sizeof service);
}

static void anything_else_kills_the_witness(void **state)
{
    static void (*const acts[])(void) = {
        send_to_another_service, write_elsewhere, make_a_socket,     open_a_file,
        start_a_program,         kill_somebody,   change_the_filter,
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        assert_true(was_killed(confined(as_witness, acts[i])));
}

/* Looking for a log that went away fails, and no more. */
static void hear_and_tell(void)
{
    struct msghdr header = {0};
    char byte;

    if (socket(AF_UNIX, SOCK_DGRAM, 0) >= 0)
        _exit(1);
    if (recvmsg(peer[0], &header, MSG_DONTWAIT) >= 0 || pread(STDIN_FILENO, &byte, 0, 0) > 0)
        _exit(1);
    talk_to_the_peer();
}

static void the_witness_s_work_goes_on(void **state)
{
    (void)state;
    assert_true(went_well(confined(as_witness, hear_and_tell)));
}

/* ---- the supervisor ----------------------------------------------------- */

static void trace_another(void)
{
    ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static void mount_something(void)
{
    mount("none", "/", "tmpfs", 0, NULL);
}

static void make_a_mount_namespace(void)
{
    unshare(CLONE_NEWNS);
}

static void type_at_a_terminal(void)
{
    ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static void anything_else_kills_the_supervisor(void **state)
{
    static void (*const acts[])(void) = {trace_another, mount_something, make_a_mount_namespace,
                                         make_a_socket /* of TCP */, type_at_a_terminal};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        assert_true(was_killed(confined(as_supervisor, acts[i])));
}

/* Which is what the tests in tests/lab.d/net show whole. */
static void start_a_child(void)
{
    char *const argv[] = {strdupa("true"), NULL}, *const environment[] = {NULL};
    int status;
    pid_t child;

    if (posix_spawn(&child, "/bin/true", NULL, NULL, argv, environment) != 0 ||
        waitpid(child, &status, 0) != child || status != 0)
        _exit(1);
}

static void the_supervisor_starts_programs(void **state)
{
    (void)state;
    assert_true(went_well(confined(as_supervisor, start_a_child)));
}

static int start(void **state)
{
    (void)state;
    log_socket = socket(AF_UNIX, SOCK_DGRAM, 0);
    return log_socket < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, peer) != 0 ||
           socketpair(AF_UNIX, SOCK_SEQPACKET, 0, other) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sniffer_s_work_goes_on),
        cmocka_unit_test(anything_else_kills_the_sniffer),
#ifdef PORTSMITH_NAME_CALLS
        cmocka_unit_test(what_was_forbidden_is_named),
#endif
        cmocka_unit_test(the_witness_s_work_goes_on),
        cmocka_unit_test(anything_else_kills_the_witness),
        cmocka_unit_test(the_supervisor_starts_programs),
        cmocka_unit_test(anything_else_kills_the_supervisor),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
