#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>

#include "client/knock/door.h"

/* The addresses of loopback stand for those of a server: 127.0.0.N, one port. */
static struct sockaddr_in place_of(const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

    assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
    return to;
}

/* Bound: that it does not listen yet refuses, and nobody else gets the port. */
static int bind_at(const char *address, int type, uint16_t *port)
{
    struct sockaddr_in to = place_of(address, *port);
    int fd = socket(AF_INET, type, 0);
    socklen_t size = sizeof to;

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &size), 0);
    *port = ntohs(to.sin_port);
    return fd;
}

static struct sending sent_to(const char *address, uint16_t port)
{
    struct sockaddr_in to = place_of(address, port);
    struct sending s = {.sent = true, .size = DATAGRAM_MIN, .target.size = sizeof to,
                        .request.action = ACTION_OPEN};

    memset(s.datagram, 'k', sizeof s.datagram);
    memcpy(&s.target.to, &to, sizeof to);
    assert_true(address_parse(&s.source, "127.0.0.1"));
    return s;
}

/* What is signed with it opens nothing; nobody here looks. */
static struct knocker knocker = {.transport = TRANSPORT_UDP};

static const struct sending *told[8];
static unsigned told_count;

static void note_told(const struct sending *s)
{
    assert_in_range(told_count, 0, 7);
    told[told_count++] = s;
}

static int enter(struct sending *sendings, unsigned count, uint16_t port, uint32_t seconds,
                 int *error)
{
    struct service service = {IPPROTO_TCP, port};
    struct door door = {.sendings = sendings, .count = count, .services = &service,
                        .service_count = 1, .knocker = &knocker, .tell = note_told};

    told_count = 0;
    return door_enter(&door, seconds, error);
}

/* Where the connection leads to, as "127.0.0.N"'s N; closes it. */
static unsigned last_byte_of_peer(int fd)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;

    assert_true(fd >= 0);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &size), 0);
    close(fd);
    return ntohl(peer.sin_addr.s_addr) & 0xff;
}

static bool has_option(int fd, int level, int option)
{
    int value = 0;
    socklen_t size = sizeof value;

    return getsockopt(fd, level, option, &value, &size) == 0 && value;
}

static void an_open_port_is_connected_to(void **state)
{
    uint16_t port = 0;
    int listener = bind_at("127.0.0.1", SOCK_STREAM, &port), error, fd;
    struct sending s = sent_to("127.0.0.1", 9);

    (void)state;
    assert_int_equal(listen(listener, 5), 0);
    fd = enter(&s, 1, port, 10, &error);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_true(has_option(fd, SOL_SOCKET, SO_KEEPALIVE));
    assert_true(has_option(fd, IPPROTO_TCP, TCP_NODELAY));
    assert_int_equal(last_byte_of_peer(fd), 1);
    assert_int_equal(close(accept(listener, NULL, NULL)), 0);
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(listener, NULL, NULL), -1); /* there was one only */
    close(listener);
}

static void refusal_is_told(void **state)
{
    uint16_t port = 0;
    int bound = bind_at("127.0.0.1", SOCK_STREAM, &port), error;
    struct sending s = sent_to("127.0.0.1", 9);

    (void)state;
    assert_int_equal(enter(&s, 1, port, 1, &error), -1);
    assert_int_equal(error, ECONNREFUSED);
    close(bound);
}

/* Begins to listen when the knock comes a second time: the first was lost. */
static void *listen_when_knocked_again(void *argument)
{
    const int *fds = argument; /* knocks, listener */
    uint8_t datagram[DATAGRAM_MAX];

    if (recv(fds[0], datagram, sizeof datagram, 0) == DATAGRAM_MIN && datagram[0] == 'k')
        listen(fds[1], 5);
    return NULL;
}

static void a_refusal_is_tried_again_and_so_is_the_knock(void **state)
{
    uint16_t knock_port = 0, port = 0;
    int fds[2] = {bind_at("127.0.0.1", SOCK_DGRAM, &knock_port),
                  bind_at("127.0.0.1", SOCK_STREAM, &port)};
    struct sending s = sent_to("127.0.0.1", knock_port);
    pthread_t thread;
    int error;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, listen_when_knocked_again, fds), 0);
    assert_int_equal(last_byte_of_peer(enter(&s, 1, port, 60, &error)), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(fds[0]);
    close(fds[1]);
}

/* Begins to listen when a knock comes that is not the first one. */
static void *listen_when_knocked_anew(void *argument)
{
    const int *fds = argument; /* knocks, listener */
    uint8_t datagram[DATAGRAM_MAX];

    while (recv(fds[0], datagram, sizeof datagram, 0) > 0)
        if (memcmp(datagram, "kkkk", 4) != 0) {
            listen(fds[1], 5);
            break;
        }
    return NULL;
}

static void a_door_that_stays_shut_is_knocked_anew_at_one_address_after_the_other(void **state)
{
    uint16_t knock_port = 0, port = 0;
    int fds[2] = {bind_at("127.0.0.2", SOCK_DGRAM, &knock_port),
                  bind_at("127.0.0.2", SOCK_STREAM, &port)};
    struct sending sendings[] = {sent_to("127.0.0.1", knock_port),
                                 sent_to("127.0.0.2", knock_port)};
    uint8_t datagram[DATAGRAM_MAX];
    pthread_t thread;
    int error, first = bind_at("127.0.0.1", SOCK_DGRAM, &knock_port);
    unsigned old = 0, new = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, listen_when_knocked_anew, fds), 0);
    assert_int_equal(last_byte_of_peer(enter(sendings, 2, port, 60, &error)), 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(told_count, 2);
    assert_ptr_equal(told[0], &sendings[0]);
    assert_ptr_equal(told[1], &sendings[1]);
    assert_true(sendings[0].request.counter < sendings[1].request.counter);
    while (recv(first, datagram, sizeof datagram, MSG_DONTWAIT) > 0)
        *(memcmp(datagram, "kkkk", 4) == 0 ? &old : &new) += 1;
    assert_in_range(old, 1, 3); /* after 0.3, 0.9 and 2.1 s, unless the machine is busy */
    assert_in_range(new, 1, 4);
    close(first);
    close(fds[0]);
    close(fds[1]);
}

/* Nobody is asked for a signature every three seconds. */
static void where_somebody_is_asked_the_same_knock_is_sent_again(void **state)
{
    uint16_t knock_port = 0, port = 0;
    int knocks = bind_at("127.0.0.1", SOCK_DGRAM, &knock_port), error;
    int bound = bind_at("127.0.0.1", SOCK_STREAM, &port);
    struct sending s = sent_to("127.0.0.1", knock_port);
    uint8_t datagram[DATAGRAM_MAX];
    unsigned again = 0;

    (void)state;
    knocker.asks = true;
    assert_int_equal(enter(&s, 1, port, 4, &error), -1);
    knocker.asks = false;
    assert_int_equal(told_count, 0);
    for (; recv(knocks, datagram, sizeof datagram, MSG_DONTWAIT) > 0; again++)
        assert_memory_equal(datagram, "kkkk", 4);
    assert_in_range(again, 1, 4); /* after 0.3, 0.9 and 2.1 s */
    close(knocks);
    close(bound);
}

/* A listener whose queue is full answers nothing, as a port that is shut. */
static int make_silent(const char *address, uint16_t *port, int *filler)
{
    int fd = bind_at(address, SOCK_STREAM, port);
    struct sockaddr_in to = place_of(address, *port);

    assert_int_equal(listen(fd, 0), 0);
    *filler = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*filler, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void silence_is_told(void **state)
{
    uint16_t port = 0;
    int filler, silent = make_silent("127.0.0.1", &port, &filler), error;
    struct sending s = sent_to("127.0.0.1", 9);

    (void)state;
    assert_int_equal(enter(&s, 1, port, 1, &error), -1);
    assert_int_equal(error, 0);
    close(filler);
    close(silent);
}

static void of_two_addresses_the_one_that_answers_is_taken(void **state)
{
    uint16_t port = 0;
    int filler, silent = make_silent("127.0.0.1", &port, &filler), error;
    int listener = bind_at("127.0.0.2", SOCK_STREAM, &port);
    struct sending sendings[] = {sent_to("127.0.0.1", 9), sent_to("127.0.0.2", 9)};

    (void)state;
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(last_byte_of_peer(enter(sendings, 2, port, 60, &error)), 2);
    close(filler);
    close(silent);
    close(listener);
}

static void an_address_that_was_not_knocked_is_not_tried(void **state)
{
    uint16_t port = 0;
    int first = bind_at("127.0.0.1", SOCK_STREAM, &port), error;
    int second = bind_at("127.0.0.2", SOCK_STREAM, &port);
    struct sending sendings[] = {sent_to("127.0.0.1", 9), sent_to("127.0.0.2", 9)};

    (void)state;
    assert_int_equal(listen(first, 5), 0);
    assert_int_equal(listen(second, 5), 0);
    sendings[0].sent = false;
    sendings[0].size = 0;
    assert_int_equal(last_byte_of_peer(enter(sendings, 2, port, 60, &error)), 2);
    close(first);
    close(second);
}

/* TCP to a multicast address cannot even begin. By its turn alone the last would come
 * too late. */
static void addresses_without_a_way_leave_their_time_to_the_next(void **state)
{
    enum { HOPELESS = 15 };
    struct sending sendings[HOPELESS + 1];
    uint16_t port = 0;
    int listener = bind_at("127.0.0.2", SOCK_STREAM, &port), error;

    (void)state;
    assert_int_equal(listen(listener, 5), 0);
    for (unsigned i = 0; i < HOPELESS; i++)
        sendings[i] = sent_to("224.0.0.1", 9);
    sendings[HOPELESS] = sent_to("127.0.0.2", 9);
    assert_int_equal(last_byte_of_peer(enter(sendings, HOPELESS + 1, port, 3, &error)), 2);
    assert_int_not_equal(error, 0);
    close(listener);
}

static int home_enter(void **state)
{
    int status = scratch_enter(state);

    setenv("XDG_STATE_HOME", *state, 1);
    return status;
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, home_enter, scratch_leave)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_port_is_connected_to),
        cmocka_unit_test(refusal_is_told),
        cmocka_unit_test(a_refusal_is_tried_again_and_so_is_the_knock),
        IN_SCRATCH(a_door_that_stays_shut_is_knocked_anew_at_one_address_after_the_other),
        cmocka_unit_test(where_somebody_is_asked_the_same_knock_is_sent_again),
        cmocka_unit_test(silence_is_told),
        cmocka_unit_test(of_two_addresses_the_one_that_answers_is_taken),
        cmocka_unit_test(an_address_that_was_not_knocked_is_not_tried),
        cmocka_unit_test(addresses_without_a_way_leave_their_time_to_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
