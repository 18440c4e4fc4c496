#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/host/listeners.h"

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
    if (bind(fd, address, size) != 0) { /* a host without IPv6, whose addresses come last */
        assert_false(is_v4);
        close(fd);
        skip();
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

static void note_port(void *into, const struct service *service)
{
    uint16_t *wanted = into; /* the port; then whether it came */

    if (service->protocol == IPPROTO_UDP && service->port == wanted[0])
        wanted[1] = true;
}

static void each_is_told_of_but_those_on_loopback(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint16_t wanted[2] = {0, 0};
        int fd = bind_to(cases[i].address, SOCK_DGRAM, &wanted[0]);

        listeners_each(note_port, wanted);
        assert_int_equal(wanted[1], cases[i].expected == LISTENERS_REACHABLE);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_listeners_are_found),
        cmocka_unit_test(udp_listeners_are_found),
        cmocka_unit_test(each_is_told_of_but_those_on_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
