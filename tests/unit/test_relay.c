#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "client/knock/relay.h"

/* The relay in a thread: what goes into `in` comes out of `far`, and back to `out`. */
struct relayed {
    int in, out, far;           /* the test's ends */
    int from, to, near;         /* the relay's */
    bool done;
    struct error why;
    pthread_t thread;
};

static void *run(void *argument)
{
    struct relayed *r = argument;

    r->done = relay_run(r->from, r->to, r->near, &r->why);
    close(r->near);
    return NULL;
}

static void start(struct relayed *r)
{
    int in[2], out[2], link[2];

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, link), 0);
    *r = (struct relayed){.in = in[1], .out = out[0], .far = link[1],
                          .from = in[0], .to = out[1], .near = link[0]};
    assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
}

static void finish(struct relayed *r, bool done)
{
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    assert_int_equal(r->done, done);
    close(r->from);
}

/* The byte at a place of a stream that never repeats soon. */
static uint8_t byte_at(size_t place, unsigned seed)
{
    return (uint8_t)((place * 2654435761u + seed) >> 13);
}

enum { LOAD = 5 * 1000 * 1000 + 7 };

struct flow {
    int fd;
    unsigned seed;
    size_t done;
    bool right;
};

static void *pour(void *argument)
{
    struct flow *f = argument;
    uint8_t bytes[9973];

    while (f->done < LOAD) {
        size_t size = LOAD - f->done < sizeof bytes ? LOAD - f->done : sizeof bytes;
        ssize_t written;

        for (size_t i = 0; i < size; i++)
            bytes[i] = byte_at(f->done + i, f->seed);
        written = write(f->fd, bytes, size);
        if (written <= 0)
            break;
        f->done += (size_t)written;
    }
    return NULL;
}

static void *drain(void *argument)
{
    struct flow *f = argument;
    uint8_t bytes[7919];
    ssize_t size;

    f->right = true;
    while (f->done < LOAD && (size = read(f->fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < size; i++)
            f->right = f->right && bytes[i] == byte_at(f->done + (size_t)i, f->seed);
        f->done += (size_t)size;
    }
    return NULL;
}

static void megabytes_go_both_ways_at_once(void **state)
{
    struct relayed r;
    pthread_t threads[4];

    (void)state;
    start(&r);
    struct flow flows[4] = {{r.in, 1, 0, true}, {r.far, 1, 0, false}, {r.far, 2, 0, true},
                            {r.out, 2, 0, false}};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? drain : pour, &flows[i]), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(flows[i].done, LOAD);
        assert_true(flows[i].right);
    }
    close(r.in);
    close(r.far);
    finish(&r, true);
    close(r.out);
}

static void assert_arrives(int from, int to, const char *word)
{
    char bytes[100];

    assert_int_equal(write(from, word, strlen(word)), strlen(word));
    assert_int_equal(read(to, bytes, sizeof bytes), strlen(word));
    assert_memory_equal(bytes, word, strlen(word));
}

static void assert_ended(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 0);
}

static void the_end_of_input_leaves_output_open(void **state)
{
    struct relayed r;

    (void)state;
    start(&r);
    assert_arrives(r.in, r.far, "question");
    close(r.in);
    assert_ended(r.far);
    assert_arrives(r.far, r.out, "answer");
    assert_arrives(r.far, r.out, "and more");
    close(r.far);
    assert_ended(r.out);
    finish(&r, true);
    close(r.out);
}

static void the_end_of_output_leaves_input_open(void **state)
{
    struct relayed r;

    (void)state;
    start(&r);
    assert_arrives(r.far, r.out, "greeting");
    assert_int_equal(shutdown(r.far, SHUT_WR), 0);
    assert_ended(r.out);
    assert_arrives(r.in, r.far, "still here");
    close(r.in);
    assert_ended(r.far);
    close(r.far);
    finish(&r, true);
    close(r.out);
}

static void bytes_before_an_end_are_not_lost(void **state)
{
    static char bytes[60000]; /* less than a pipe takes, more than one write */
    size_t got = 0;
    ssize_t size;
    struct relayed r;

    (void)state;
    start(&r);
    assert_int_equal(write(r.in, bytes, sizeof bytes), sizeof bytes);
    close(r.in);
    while ((size = read(r.far, bytes, 1000)) > 0)
        got += (size_t)size;
    assert_int_equal(got, sizeof bytes);
    close(r.far);
    finish(&r, true);
    close(r.out);
}

/* One buffer, two sockets' own, a pipe: then nobody reads any more. */
static void what_is_not_taken_is_not_read(void **state)
{
    static char bytes[64 * 1024];
    size_t taken = 0;
    ssize_t size;
    struct relayed r;

    (void)state;
    start(&r);
    for (int idle = 0; idle < 20;) { /* the relay gets its turn each time */
        size = send(r.far, bytes, sizeof bytes, MSG_DONTWAIT);
        idle = size < 0 ? idle + 1 : 0;
        taken += size > 0 ? (size_t)size : 0;
        usleep(1000);
        assert_true(taken < 4 * 1024 * 1024);
    }
    close(r.out);
    close(r.in);
    finish(&r, false); /* told, once its reader was gone */
    close(r.far);
}

static void a_reader_that_is_gone_ends_it(void **state)
{
    struct relayed r;

    (void)state;
    start(&r);
    close(r.out);
    assert_int_equal(write(r.far, "x", 1), 1);
    finish(&r, false);
    assert_non_null(strstr(r.why.text, "Broken pipe"));
    close(r.in);
    close(r.far);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(megabytes_go_both_ways_at_once),
        cmocka_unit_test(the_end_of_input_leaves_output_open),
        cmocka_unit_test(the_end_of_output_leaves_input_open),
        cmocka_unit_test(bytes_before_an_end_are_not_lost),
        cmocka_unit_test(what_is_not_taken_is_not_read),
        cmocka_unit_test(a_reader_that_is_gone_ends_it),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
