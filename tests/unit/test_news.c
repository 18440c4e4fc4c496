#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "netspace.h"
#include "privsep/flows.h"
#include "privsep/netlink.h"
#include "privsep/prepare/news.h"

/* The listener takes both families. Each test has a port of its own: what has ended is
 * remembered for a while. */
enum { FIRST_PORT = 2222, OTHER_PORT = 22, SERVICES = 4000 };

static struct error why;
static struct service tcp = {IPPROTO_TCP, FIRST_PORT};
static int netlink, listener, client, accepted;

static void fill_address(struct sockaddr_storage *to, int family, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

    memset(to, 0, sizeof *to);
    to->ss_family = (sa_family_t)family;
    v4->sin_port = htons(port); /* where sin6_port is */
    if (family == AF_INET)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        v6->sin6_addr = in6addr_loopback;
}

static int try_connect(int family, int type, uint16_t port)
{
    int fd = socket(family, type, 0);
    struct sockaddr_storage peer;

    assert_true(fd >= 0);
    fill_address(&peer, family, port);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) == 0)
        return fd;
    close(fd);
    return -1;
}

static int listen_at(uint16_t port)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_storage own;

    fill_address(&own, AF_INET6, port);
    ((struct sockaddr_in6 *)&own)->sin6_addr = in6addr_any;
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void let_in(int family, uint16_t port, int at)
{
    client = try_connect(family, SOCK_STREAM, port);
    assert_true(client >= 0);
    accepted = accept(at, NULL, NULL);
    assert_true(accepted >= 0);
}

static void hang_up(void)
{
    close(client);
    close(accepted);
}

/* As the helper does. */
static int join(int change)
{
    const int group = NFNLGRP_CONNTRACK_UPDATE;

    return setsockopt(netlink, SOL_NETLINK, change, &group, sizeof group);
}

static int begin(void **state)
{
    struct service both[2];

    (void)state;
    tcp.port++;
    both[0] = tcp;
    both[1] = (struct service){IPPROTO_UDP, tcp.port};
    listener = listen_at(tcp.port);
    netlink = netlink_open(NETLINK_NETFILTER);
    news_open(netlink, both, 2);
    return join(NETLINK_ADD_MEMBERSHIP);
}

static int end(void **state)
{
    (void)state;
    close(netlink);
    return close(listener);
}

struct heard {
    unsigned count;
    struct flow last;
};

/* The connections that the kernel has told of as they were made. */
static struct heard hear(void)
{
    const size_t header = sizeof(struct nlmsghdr);
    struct heard heard = {0};
    uint8_t bytes[32768];
    ssize_t n;

    while ((n = recv(netlink, bytes, sizeof bytes, MSG_DONTWAIT)) > (ssize_t)header) {
        struct flow flow;

        if (!flows_read((struct span){bytes + header, (size_t)n - header}, &flow) ||
            !flow.was_just_made)
            continue;
        heard.count++;
        heard.last = flow;
    }
    return heard;
}

static bool something_waits(void)
{
    char byte;

    return recv(netlink, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0;
}

static void a_connection_is_told_of_once(void **state)
{
    static const int families[] = {AF_INET, AF_INET6};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        struct heard heard;
        struct address from;

        let_in(families[i], tcp.port, listener);
        heard = hear();
        assert_int_equal(heard.count, 1);
        assert_int_equal(service_compare(&heard.last.to, &tcp), 0);
        assert_true(address_parse(&from, families[i] == AF_INET ? "127.0.0.1" : "::1"));
        assert_true(address_equal(&heard.last.from, &from));
        assert_int_equal(send(client, "x", 1, 0), 1);
        hang_up();
        assert_false(something_waits());
    }
}

static void each_has_a_number_of_its_own(void **state)
{
    uint32_t first;

    (void)state;
    let_in(AF_INET, tcp.port, listener);
    hang_up();
    first = hear().last.id;
    let_in(AF_INET, tcp.port, listener);
    hang_up();
    assert_int_not_equal(hear().last.id, first);
}

/* Not even for a moment: that is why a flood of them neither costs time nor takes room. */
static void an_attempt_is_no_news(void **state)
{
    struct sockaddr_storage peer;
    int fd;

    (void)state;
    assert_int_equal(try_connect(AF_INET, SOCK_STREAM, OTHER_PORT), -1);
    run_command("iptables -A INPUT -p tcp --sport %d -j DROP", tcp.port); /* the SYN-ACK */
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    fill_address(&peer, AF_INET, tcp.port);
    assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof peer), -1);
    assert_false(something_waits());
    close(fd);
    run_command("iptables -D INPUT -p tcp --sport %d -j DROP", tcp.port);
}

static void udp_is_told_of_once_the_service_has_answered(void **state)
{
    int server = socket(AF_INET, SOCK_DGRAM, 0), from;
    struct sockaddr_storage own, peer;
    socklen_t size = sizeof peer;
    char byte = 'x';

    (void)state;
    fill_address(&own, AF_INET, tcp.port);
    assert_int_equal(bind(server, (struct sockaddr *)&own, sizeof own), 0);
    from = try_connect(AF_INET, SOCK_DGRAM, tcp.port);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(from, &byte, 1, 0), 1);
        assert_int_equal(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer, &size), 1);
        assert_int_equal(hear().count, 0);
        assert_int_equal(sendto(server, &byte, 1, 0, (struct sockaddr *)&peer, size), 1);
        assert_int_equal(hear().count, i == 0);
    }
    close(server);
    close(from);
}

static void what_is_for_others_is_left_out_by_the_kernel(void **state)
{
    const uint16_t port = (uint16_t)(tcp.port + 10000);
    int other = listen_at(port);

    (void)state;
    let_in(AF_INET, port, other);
    hang_up();
    assert_false(something_waits());
    close(other);
}

static void of_more_services_than_it_can_tell_apart_it_tells_all(void **state)
{
    const uint16_t port = (uint16_t)(tcp.port + 10000);
    static struct service services[SERVICES];
    int other = listen_at(port);

    (void)state;
    for (uint16_t i = 0; i < SERVICES; i++)
        services[i] = (struct service){IPPROTO_TCP, (uint16_t)(i + 20000)};
    news_open(netlink, services, SERVICES / 2);
    let_in(AF_INET, port, other);
    hang_up();
    assert_false(something_waits());
    news_open(netlink, services, SERVICES);
    let_in(AF_INET, port, other);
    hang_up();
    assert_int_equal(hear().count, 1);
    close(other);
}

/* An answer, such as a mark, has a number. */
static void the_filter_lets_answers_through(void **state)
{
    const struct nlmsghdr nothing = {.nlmsg_len = sizeof nothing, .nlmsg_type = NLMSG_NOOP,
                                     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = 7};
    struct nlmsghdr got;

    (void)state;
    assert_int_equal(send(netlink, &nothing, sizeof nothing, 0), sizeof nothing);
    assert_true(recv(netlink, &got, sizeof got, MSG_DONTWAIT) > 0);
    assert_int_equal(got.nlmsg_type, NLMSG_ERROR);
    assert_int_equal(got.nlmsg_seq, 7);
}

static void what_came_between_two_helpers_waits_for_the_next(void **state)
{
    (void)state;
    let_in(AF_INET, tcp.port, listener);
    hang_up();
    news_open(netlink, &tcp, 1);
    assert_int_equal(hear().count, 1);
}

static void set_events(int setting)
{
    run_command("mount -o remount,rw /proc/sys 2>/dev/null; "
                "echo %d >/proc/sys/net/netfilter/nf_conntrack_events", setting);
}

static void whether_it_is_told_is_found_out(void **state)
{
    int conntrack = netlink_open(NETLINK_NETFILTER);

    (void)state;
    assert_true(news_try(&conntrack, &why));
    set_events(0);
    assert_false(news_try(&conntrack, &why));
    assert_non_null(strstr(why.text, "nf_conntrack_events is 0"));
    set_events(2);
    close(conntrack);
    conntrack = -1;
    assert_false(news_try(&conntrack, &why));
    assert_non_null(strstr(why.text, "nf_conntrack_netlink"));
}

static int enter(void **state)
{
    if (netspace_enter(state) != 0)
        return -1;
    return system("ip link set lo up && iptables -A INPUT -m conntrack --ctstate NEW && "
                  "ip6tables -A INPUT -m conntrack --ctstate NEW");
}

#define WITH_NEWS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NEWS(a_connection_is_told_of_once),
        WITH_NEWS(each_has_a_number_of_its_own),
        WITH_NEWS(an_attempt_is_no_news),
        WITH_NEWS(udp_is_told_of_once_the_service_has_answered),
        WITH_NEWS(what_is_for_others_is_left_out_by_the_kernel),
        WITH_NEWS(of_more_services_than_it_can_tell_apart_it_tells_all),
        WITH_NEWS(what_came_between_two_helpers_waits_for_the_next),
        WITH_NEWS(the_filter_lets_answers_through),
        WITH_NEWS(whether_it_is_told_is_found_out),
    };

    return cmocka_run_group_tests_name("news", tests, enter, scratch_leave);
}
