#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "netspace.h"
#include "privsep/cut/serve.h"
#include "privsep/cut/sockets.h"
#include "privsep/flows.h"

static struct cut cut;
static struct cut_result result;
static int listener; /* both families */

enum { FIRST_PORT = 2222, MANY = 80 };

/* Clients whose sockets the kernel is said not to end, from a port up; of those, so many.
 * Kernels since 6.11 or so end all, so that there is no real one to ask for. */
static uint16_t first_stubborn, stubborn;
static unsigned refusals;

/* Called once, when sockets have been ended and flows are to be forgotten. */
static void (*before_forgetting)(void);

int __wrap_netlink_ask(int *fd, union question *q, answer_handler *handle, void *into);
int __real_netlink_ask(int *fd, union question *q, answer_handler *handle, void *into);

int __wrap_netlink_ask(int *fd, union question *q, answer_handler *handle, void *into)
{
    struct inet_diag_req_v2 socket;
    void (*now)(void) = before_forgetting;
    uint16_t client;

    if (now && q->header.nlmsg_type >> 8 == NFNL_SUBSYS_CTNETLINK) {
        before_forgetting = NULL;
        now();
    }
    memcpy(&socket, q->bytes + sizeof q->header, sizeof socket);
    client = ntohs(socket.id.idiag_dport);
    if (q->header.nlmsg_type != SOCK_DESTROY || client < first_stubborn ||
        client >= first_stubborn + stubborn)
        return __real_netlink_ask(fd, q, handle, into);
    refusals++;
    return EOPNOTSUPP;
}

/* Each test has a port of its own: what has ended is remembered for a while. */
static struct service tcp = {IPPROTO_TCP, FIRST_PORT}, udp = {IPPROTO_UDP, FIRST_PORT};

static void fill_address(struct sockaddr_storage *to, const char *text, uint16_t port)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;

    memset(to, 0, sizeof *to);
    to->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    assert_int_equal(
        inet_pton(to->ss_family, text,
                  to->ss_family == AF_INET6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr), 1);
    v6->sin6_port = htons(port); /* where sin_port is */
}

static int bound(int family, int type, const char *address, uint16_t port)
{
    int fd = socket(family, type, 0), on = 1;
    struct sockaddr_storage own;

    fill_address(&own, address, port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    return fd;
}

static int try_connect(const char *from, const char *to, uint16_t port, int type)
{
    int fd = bound(strchr(from, ':') ? AF_INET6 : AF_INET, type, from, 0);
    struct sockaddr_storage peer;

    fill_address(&peer, to, port);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Both ends of a TCP connection. */
static void make_connection(const char *from, const char *to, int ends[static 2])
{
    ends[0] = try_connect(from, to, tcp.port, SOCK_STREAM);
    assert_true(ends[0] >= 0);
    ends[1] = accept(listener, NULL, NULL);
    assert_true(ends[1] >= 0);
}

static void close_both(const int ends[static 2])
{
    close(ends[0]);
    close(ends[1]);
}

static int open_cut(void **state)
{
    (void)state;
    tcp.port++;
    udp.port++;
    cut_open(&cut);
    listener = bound(AF_INET6, SOCK_STREAM, "::", tcp.port);
    return listen(listener, MANY);
}

static int close_cut(void **state)
{
    (void)state;
    cut_close(&cut);
    return close(listener);
}

static struct address address_of(const char *text)
{
    struct address a;

    assert_true(address_parse(&a, text));
    return a;
}

struct wanted {
    struct address from;
    struct service to;
    unsigned count;
};

static void count_flow(void *into, struct span message)
{
    struct wanted *wanted = into;
    struct flow flow;

    wanted->count += flows_read(message, &flow) && !flow.is_over &&
                     address_equal(&flow.from, &wanted->from) &&
                     service_compare(&flow.to, &wanted->to) == 0;
}

static unsigned count_flows(const char *from, const struct service *to)
{
    struct wanted wanted = {address_of(from), *to, 0};
    const struct nfgenmsg all = {.nfgen_family = AF_UNSPEC};
    union question q;

    netlink_begin(&q, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP);
    netlink_put(&q, &all, sizeof all);
    assert_int_equal(netlink_ask(&cut.conntrack, &q, count_flow, &wanted), 0);
    return wanted.count;
}

/* Of these doors, which ascend. */
static uint32_t end_flows_of(const struct cut_door *items, size_t count)
{
    static struct doors doors;

    doors.count = 0;
    for (size_t i = 0; i < count; i++)
        assert_true(doors_add(&doors, &items[i]));
    cut_connections(&cut, &doors, clock_boot_ns() + (int64_t)CUT_SECONDS * NSEC_PER_SEC, &result);
    return result.ended;
}

static struct cut_door door_of(const char *from, const struct service *to)
{
    return (struct cut_door){CUT_KILL, 1, address_of(from), *to};
}

static uint32_t try_to_end_flows(const char *from, const struct service *to)
{
    const struct cut_door door = door_of(from, to);

    return end_flows_of(&door, 1);
}

static uint32_t end_flows(const char *from, const struct service *to)
{
    try_to_end_flows(from, to);
    assert_int_equal(result.trouble, CUT_DONE);
    return result.ended;
}

static void assert_reset(int fd)
{
    char byte;

    assert_true(is_readable(fd, 1000));
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_true(errno == ECONNRESET || errno == ECONNABORTED);
}

static void assert_alive(const int ends[static 2])
{
    char byte = 'x';

    assert_int_equal(send(ends[0], &byte, 1, MSG_NOSIGNAL), 1);
    assert_true(is_readable(ends[1], 1000));
    assert_int_equal(recv(ends[1], &byte, 1, MSG_DONTWAIT), 1);
}

static void one_by_udp_is_forgotten(void **state)
{
    int server = bound(AF_INET, SOCK_DGRAM, "127.0.0.1", tcp.port);
    int client = try_connect("127.0.0.1", "127.0.0.1", tcp.port, SOCK_DGRAM);
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    char byte = 'x';

    (void)state;
    assert_int_equal(send(client, &byte, 1, 0), 1);
    assert_int_equal(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer, &size), 1);
    assert_int_equal(sendto(server, &byte, 1, 0, (struct sockaddr *)&peer, size), 1);
    assert_int_equal(count_flows("127.0.0.1", &udp), 1);
    assert_int_equal(end_flows("127.0.0.1", &udp), 1);
    assert_int_equal(count_flows("127.0.0.1", &udp), 0);
    assert_int_equal(end_flows("127.0.0.1", &udp), 0);
    close(server);
    close(client);
}

/* Nothing needs to be sent for it; and who listens goes on listening. */
static void connections_of_this_host_end_at_once(void **state)
{
    static const char *const hosts[] = {"127.0.0.5", "::1"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        int ends[2], others[2], again[2];

        make_connection(hosts[i], hosts[i], ends);
        make_connection("127.0.0.9", "127.0.0.5", others);
        assert_int_equal(end_flows(hosts[i], &tcp), 1);
        assert_reset(ends[0]);
        assert_reset(ends[1]);
        assert_alive(others);
        assert_int_equal(end_flows(hosts[i], &tcp), 0);
        make_connection(hosts[i], hosts[i], again);
        assert_alive(again);
        close_both(ends);
        close_both(others);
        close_both(again);
        end_flows("127.0.0.9", &tcp);
        end_flows(hosts[i], &tcp);
    }
}

static void a_socket_of_one_family_ends_too(void **state)
{
    int ends[2];

    (void)state;
    close(listener);
    listener = bound(AF_INET, SOCK_STREAM, "127.0.0.1", tcp.port);
    assert_int_equal(listen(listener, 1), 0);
    make_connection("127.0.0.1", "127.0.0.1", ends);
    assert_int_equal(end_flows("127.0.0.1", &tcp), 1);
    assert_reset(ends[1]);
    close_both(ends);
}

static void all_of_many_end(void **state)
{
    int ends[MANY][2];

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        make_connection("127.0.0.1", "127.0.0.1", ends[i]);
    assert_int_equal(count_flows("127.0.0.1", &tcp), MANY);
    assert_int_equal(end_flows("127.0.0.1", &tcp), MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_reset(ends[i][0]);
        close_both(ends[i]);
    }
}

/* A connection from this port of the client's. */
static void make_connection_from(uint16_t port, int ends[static 2])
{
    struct sockaddr_storage peer;

    ends[0] = bound(AF_INET, SOCK_STREAM, "127.0.0.1", port);
    fill_address(&peer, "127.0.0.1", tcp.port);
    assert_int_equal(connect(ends[0], (struct sockaddr *)&peer, sizeof peer), 0);
    ends[1] = accept(listener, NULL, NULL);
    assert_true(ends[1] >= 0);
}

static void assert_some_refused(unsigned count, unsigned expected_end, enum cut_trouble expected)
{
    stubborn = (uint16_t)count;
    refusals = 0;
    /* Those that are only forgotten count, too. */
    assert_true(try_to_end_flows("127.0.0.1", &tcp) >= expected_end);
    assert_int_equal(result.trouble, expected);
    assert_int_equal(result.error, EOPNOTSUPP);
    assert_int_equal(result.left, count);
    assert_int_equal(refusals, count); /* each is asked for once */
}

static void one_that_does_not_end_keeps_no_other(void **state)
{
    enum { STUBBORN = 70, ALL = MANY }; /* more than are asked for at a time */
    int ends[ALL][2];

    (void)state;
    first_stubborn = 5000;
    for (int i = 0; i < ALL; i++)
        make_connection_from((uint16_t)(first_stubborn + i), ends[i]);
    assert_some_refused(STUBBORN, ALL - STUBBORN, CUT_REFUSED);
    for (int i = STUBBORN; i < ALL; i++)
        assert_reset(ends[i][1]);
    for (int i = 0; i < STUBBORN; i++)
        assert_false(is_readable(ends[i][1], 0));
    assert_some_refused(STUBBORN, 0, CUT_NO_SOCKETS);
    stubborn = 0;
    end_flows("127.0.0.1", &tcp);
    for (int i = 0; i < ALL; i++)
        close_both(ends[i]);
}

/* What does not end here is forgotten: as on a host that only passes it on. */
static void without_sockets_connections_are_forgotten(void **state)
{
    int ends[2];

    (void)state;
    make_connection("127.0.0.1", "127.0.0.1", ends);
    close(cut.sockets);
    cut.sockets = -1;
    assert_int_equal(try_to_end_flows("127.0.0.1", &tcp), 1);
    assert_int_equal(result.trouble, CUT_NO_SOCKETS);
    assert_int_equal(result.error, EOPNOTSUPP);
    assert_int_equal(count_flows("127.0.0.1", &tcp), 0);
    close_both(ends);
}

static void assert_unknown(const char *expected)
{
    struct error why;

    assert_false(flows_try(&cut.conntrack, &why));
    if (!strstr(why.text, expected))
        fail_msg("%s", why.text);
}

static void without_an_answer_nothing_is_known(void **state)
{
    struct error why;
    int ends[2];

    (void)state;
    assert_true(flows_try(&cut.conntrack, &why));
    assert_int_equal(seteuid(65534), 0);
    assert_unknown("the kernel does not tell of its connections");
    assert_int_equal(seteuid(0), 0);
    assert_true(flows_try(&cut.conntrack, &why)); /* it can be asked again */

    /* Somebody else at the other end. */
    close(cut.conntrack);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    cut.conntrack = ends[0];
    assert_int_equal(send(ends[1], "xxxxxxxxxxxxxxxxxxxxxxxx", 24, 0), 24);
    assert_unknown("does not tell");
    assert_int_equal(cut.conntrack, -1);
    assert_unknown("does not tell");
    close(ends[1]);
}

static int late[2];

static void connect_late(void)
{
    make_connection("127.0.0.1", "127.0.0.1", late);
}

static void one_that_is_made_meanwhile_ends_too(void **state)
{
    int ends[2];

    (void)state;
    make_connection("127.0.0.1", "127.0.0.1", ends);
    before_forgetting = connect_late;
    assert_true(end_flows("127.0.0.1", &tcp) >= 2);
    assert_null(before_forgetting);
    assert_reset(ends[0]);
    assert_reset(late[0]);
    assert_reset(late[1]);
    close_both(ends);
    close_both(late);
}

static int enter(void **state)
{
    if (netspace_enter(state) != 0)
        return -1;
    return system("ip link set lo up && iptables -A INPUT -m conntrack --ctstate NEW && "
                  "ip6tables -A INPUT -m conntrack --ctstate NEW");
}

#define WITH_CUT(test) cmocka_unit_test_setup_teardown(test, open_cut, close_cut)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CUT(one_by_udp_is_forgotten),
        WITH_CUT(connections_of_this_host_end_at_once),
        WITH_CUT(a_socket_of_one_family_ends_too),
        WITH_CUT(all_of_many_end),
        WITH_CUT(one_that_is_made_meanwhile_ends_too),
        WITH_CUT(one_that_does_not_end_keeps_no_other),
        WITH_CUT(without_sockets_connections_are_forgotten),
        WITH_CUT(without_an_answer_nothing_is_known),
    };

    return cmocka_run_group_tests_name("cut", tests, enter, scratch_leave);
}
