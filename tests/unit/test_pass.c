#include "check.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client/knock/pass.h"

static void assert_possible(bool possible, int out)
{
    struct error why;

    assert_int_equal(pass_is_possible(out, &why), possible);
}

static void only_a_unix_stream_socket_can_pass_anything(void **state)
{
    int stream[2], packets[2], both[2], udp = socket(AF_INET, SOCK_DGRAM, 0);

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
    assert_int_equal(pipe(both), 0);
    assert_possible(true, stream[0]);
    assert_possible(false, packets[0]);
    assert_possible(false, udp);
    assert_possible(false, both[1]);
    assert_possible(false, -1);
}

/* What a child of this program says; the test runs it under several names. */
static int ask_child(const char *ends)
{
    int stream[2], in, status;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, stream) != 0)
        return 2;
    in = strcmp(ends, "two") == 0 ? stream[1] : dup(stream[0]);
    child = fork();
    if (child == 0)
        child_exit(pass_is_expected(in, stream[0]) ? 1 : 0);
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static void assert_expected_below(bool expected, const char *program, const char *ends)
{
    char command[64];

    snprintf(command, sizeof command, "./%s %s", program, ends);
    assert_int_equal(WEXITSTATUS(system(command)), expected);
}

static void copy_this_program(const char *to)
{
    char command[PATH_MAX + 64], self[PATH_MAX] = "";

    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(command, sizeof command, "cp '%s' %s", self, to);
    assert_int_equal(system(command), 0);
}

static void only_one_socket_below_ssh_asks_for_it(void **state)
{
    (void)state;
    copy_this_program("ssh");
    copy_this_program("libssh");
    assert_int_equal(mkdir("as", 0700), 0);
    assert_int_equal(symlink("../libssh", "as/ssh"), 0); /* as dropbear's is called at times */
    assert_expected_below(true, "ssh", "one");
    assert_expected_below(false, "ssh", "two");
    assert_expected_below(false, "libssh", "one");
    assert_expected_below(false, "as/ssh", "one");
}

/* As monitor_fdpass.c of OpenSSH receives it: one byte of data, one descriptor. */
static int receive(int from)
{
    char control[CMSG_SPACE(sizeof(int))], byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header;
    int fd;

    assert_int_equal(recvmsg(from, &message, 0), 1);
    header = CMSG_FIRSTHDR(&message);
    assert_non_null(header);
    assert_int_equal(header->cmsg_type, SCM_RIGHTS);
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static void what_is_passed_is_the_same(void **state)
{
    int link[2], both[2], fd;
    struct error why;
    char byte = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, link), 0);
    assert_int_equal(pipe(both), 0);
    assert_true(pass_descriptor(link[0], both[1], &why));
    close(both[1]);
    fd = receive(link[1]);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(read(both[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(read(both[0], &byte, 1), 0);
}

static void nobody_there_is_told(void **state)
{
    int link[2];
    struct error why;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, link), 0);
    close(link[1]);
    assert_false(pass_descriptor(link[0], 0, &why));
    assert_non_null(strstr(why.text, "could not be passed"));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_unix_stream_socket_can_pass_anything),
        cmocka_unit_test_setup_teardown(only_one_socket_below_ssh_asks_for_it, scratch_enter,
                                        scratch_leave),
        cmocka_unit_test(what_is_passed_is_the_same),
        cmocka_unit_test(nobody_there_is_told),
    };

    return argc > 1 ? ask_child(argv[1]) : cmocka_run_group_tests(tests, NULL, NULL);
}
