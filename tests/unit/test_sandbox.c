/* daemon/sandbox: what it leaves works, and anything else kills, told by the
 * kernel in the wait status of a child that tried. */
#include "check.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "sandbox.h"

enum { CHILD_OK = 42 };

static int peer[2], other[2];

/* The wait status of a child that runs `act` behind the filter. */
static int behind_the_filter(void (*act)(void))
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct error why;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !sandbox_enter_as_sniffer(peer[0], &why))
            _exit(1);
        act();
        _exit(CHILD_OK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_kills(void (*act)(void))
{
    int status = behind_the_filter(act);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

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

static void anything_else_kills(void **state)
{
    (void)state;
    assert_kills(send_elsewhere);
    assert_kills(write_elsewhere);
    assert_kills(make_a_socket);
    assert_kills(open_a_file);
    assert_kills(start_a_program);
    assert_kills(kill_somebody);
    assert_kills(change_the_filter);
}

/* A sanitizer's runtime makes system calls of its own, and would be killed. */
#ifndef __SANITIZE_ADDRESS__
static void assert_works(void (*act)(void))
{
    int status = behind_the_filter(act);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CHILD_OK);
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
    assert_works(talk_to_the_peer);
}
#endif

static int start(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, peer) != 0 ||
           socketpair(AF_UNIX, SOCK_SEQPACKET, 0, other) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test(the_sniffer_s_work_goes_on),
#endif
        cmocka_unit_test(anything_else_kills),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
