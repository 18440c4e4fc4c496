#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "listeners.h"

static const struct {
    const char *address;
    enum listeners expected;
} cases[] = {
    {"127.0.0.1", LISTENERS_LOCAL}, {"127.1.2.3", LISTENERS_LOCAL},
    {"0.0.0.0", LISTENERS_REACHABLE}, {"::1", LISTENERS_LOCAL}, {"::", LISTENERS_REACHABLE},
};

/* At some port of the address, which is told; the caller closes it. */
static int bind_to(const char *text, int type, uint16_t *port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    struct sockaddr *address = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
    int fd = socket(address->sa_family, type | SOCK_CLOEXEC, 0);

    assert_true(is_v4 || inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
    assert_return_code(fd, 0);
    if (bind(fd, address, size) != 0) {
        close(fd);
        return -1; /* a host without IPv6 */
    }
    assert_int_equal(getsockname(fd, address, &size), 0);
    *port = ntohs(is_v4 ? v4.sin_port : v6.sin6_port);
    return fd;
}

static void check_protocol(int type, uint8_t protocol)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct service service = {.protocol = protocol};
        int fd = bind_to(cases[i].address, type, &service.port);

        if (fd < 0)
            continue;
        if (protocol == IPPROTO_TCP) {
            assert_int_equal(listeners_find(&service), LISTENERS_NONE); /* bound alone */
            assert_int_equal(listen(fd, 1), 0);
        }
        assert_int_equal(listeners_find(&service), cases[i].expected);
        close(fd);
        assert_int_equal(listeners_find(&service), LISTENERS_NONE);
    }
}

static void tcp_listeners_are_found(void **state)
{
    (void)state;
    check_protocol(SOCK_STREAM, IPPROTO_TCP);
}

static void udp_listeners_are_found(void **state)
{
    (void)state;
    check_protocol(SOCK_DGRAM, IPPROTO_UDP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_listeners_are_found),
        cmocka_unit_test(udp_listeners_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
