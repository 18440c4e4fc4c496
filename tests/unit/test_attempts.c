#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "client/knock/attempts.h"
#include "client/source.h"

#define MS (INT64_C(1000000)) /* nanoseconds */

/* 127.0.0.1 does not answer here: the queue of its listener is full. Time is the
 * tests' own: attempts go by what they are told. */
static struct target target;
static struct address source;
static uint16_t port;
static int listener, filler;

static int enter(void **state)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof to;

    (void)state;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    filler = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&to, size) != 0 || listen(listener, 0) != 0 ||
        getsockname(listener, (struct sockaddr *)&to, &size) != 0 ||
        connect(filler, (struct sockaddr *)&to, size) != 0)
        return -1;
    port = ntohs(to.sin_port);
    to.sin_port = htons(9); /* a target's is the knock port */
    memcpy(&target.to, &to, sizeof to);
    target.size = sizeof to;
    return address_parse(&source, "127.0.0.1") ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    return close(filler) | close(listener);
}

static unsigned pending(const struct attempts *a)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ATTEMPTS_PENDING; i++)
        count += a->fds[i] >= 0;
    return count;
}

static void pauses_double_up_to_half_a_second(void **state)
{
    static const int64_t due[] = {0, 20, 60, 140, 300, 620, 1120, 1620, 2120};
    struct attempts a;

    (void)state;
    attempts_init(&a, &target, &source, port, 0);
    assert_false(a.begun);
    for (size_t i = 0; i < COUNT_OF(due); i++) {
        assert_int_equal(a.due, due[i] * MS);
        attempts_begin(&a, a.due - 1);
        assert_int_equal(a.due, due[i] * MS); /* too early: none begins */
        attempts_begin(&a, a.due);
        assert_int_equal(pending(&a), i + 1 < ATTEMPTS_PENDING ? i + 1 : ATTEMPTS_PENDING);
    }
    attempts_end(&a);
    assert_int_equal(pending(&a), 0);
}

static void the_oldest_gives_way(void **state)
{
    struct attempts a;
    int second;

    (void)state;
    attempts_init(&a, &target, &source, port, 0);
    for (int i = 0; i < ATTEMPTS_PENDING; i++)
        attempts_begin(&a, a.due);
    second = a.fds[1];
    assert_int_equal(a.next, 0);
    attempts_begin(&a, a.due);
    assert_int_equal(a.fds[1], second);
    assert_int_equal(pending(&a), ATTEMPTS_PENDING);
    attempts_end(&a);
}

static void hurry_shortens_the_pauses_of_those_that_have_begun(void **state)
{
    struct attempts a;

    (void)state;
    attempts_init(&a, &target, &source, port, 250 * MS);
    attempts_hurry(&a, 0);
    assert_int_equal(a.due, 250 * MS);
    for (int i = 0; i < 5; i++)
        attempts_begin(&a, a.due);
    attempts_hurry(&a, 700 * MS);
    assert_int_equal(a.due, 700 * MS);
    attempts_begin(&a, a.due);
    assert_int_equal(a.due, 720 * MS);
    attempts_end(&a);
}

static void a_connected_one_is_taken_and_the_others_go(void **state)
{
    struct pollfd polled[ATTEMPTS_PENDING];
    struct attempts a;
    int fd = -1;

    (void)state;
    attempts_init(&a, &target, &source, port, 0);
    attempts_begin(&a, a.due);
    attempts_before_poll(&a, polled);
    assert_int_equal(poll(polled, ATTEMPTS_PENDING, 0), 0); /* it is shut */
    assert_int_equal(attempts_after_poll(&a, polled), -1);
    close(accept(listener, NULL, NULL)); /* it opens */
    attempts_begin(&a, a.due);
    while (fd < 0) {
        attempts_before_poll(&a, polled);
        assert_int_equal(poll(polled, ATTEMPTS_PENDING, -1), 1);
        fd = attempts_after_poll(&a, polled);
    }
    assert_int_equal(pending(&a), 1); /* the first, whose SYN was lost, still waits */
    assert_int_equal(a.error, 0);
    close(fd);
    attempts_end(&a);
    assert_int_equal(pending(&a), 0);
}

/* Where it is by the time, which may be none of this machine's for a while. */
static void each_leaves_from_the_source(void **state)
{
    static const char *const sources[] = {"127.0.0.1", "127.0.0.9", "192.0.2.1", "127.0.0.10"};
    struct attempts a;

    (void)state;
    attempts_init(&a, &target, &source, port, 0);
    for (unsigned i = 0; i < COUNT_OF(sources); i++) {
        assert_true(address_parse(&source, sources[i]));
        attempts_begin(&a, a.due);
    }
    assert_int_equal(a.error, EADDRNOTAVAIL);
    for (unsigned i = 0; i < COUNT_OF(sources); i++) {
        assert_true(address_parse(&source, sources[i]));
        assert_int_equal(a.fds[i] >= 0 && source_is(a.fds[i], &source), i != 2);
    }
    attempts_end(&a);
}

#define WITH_SILENCE(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WITH_SILENCE(pauses_double_up_to_half_a_second),
        WITH_SILENCE(the_oldest_gives_way),
        WITH_SILENCE(hurry_shortens_the_pauses_of_those_that_have_begun),
        WITH_SILENCE(a_connected_one_is_taken_and_the_others_go),
        WITH_SILENCE(each_leaves_from_the_source),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
