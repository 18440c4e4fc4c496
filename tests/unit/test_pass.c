#include "check.h"

#include <sys/socket.h>

#include "pass.h"

static void assert_wanted(bool wanted, int in, int out)
{
    assert_int_equal(pass_is_wanted(in, out), wanted);
}

static void only_one_unix_stream_socket_asks_for_it(void **state)
{
    int stream[2], packets[2], both[2], udp = socket(AF_INET, SOCK_DGRAM, 0);

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
    assert_int_equal(pipe(both), 0);
    assert_wanted(true, stream[0], stream[0]);
    assert_wanted(true, dup(stream[0]), stream[0]);
    assert_wanted(false, stream[0], stream[1]);
    assert_wanted(false, packets[0], packets[0]);
    assert_wanted(false, udp, udp);
    assert_wanted(false, both[0], both[1]);
    assert_wanted(false, both[0], stream[0]);
    assert_wanted(false, stream[0], both[1]);
    assert_wanted(false, -1, -1);
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_one_unix_stream_socket_asks_for_it),
        cmocka_unit_test(what_is_passed_is_the_same),
        cmocka_unit_test(nobody_there_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
