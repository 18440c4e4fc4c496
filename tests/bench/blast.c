/* Sends noise: blast ADDRESS PORT RATE COUNT noise|text. RATE is in datagrams a
 * second, 0: as many as can be. Text is of base64's letters, as fwknop's packets are;
 * noise is as long as a knock of Portsmith's. Prints how many it sent, how many that
 * was a second, and the nanoseconds that each took; at the end, or on SIGTERM. */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/endpoint.h"

enum { NOISE_SIZE = 1 << 18, BATCH = 32, NOISE_MIN = 176, NOISE_MAX = 304, TEXT_SIZE = 204 };

static uint8_t noise[NOISE_SIZE];
static volatile sig_atomic_t ended;

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_noise(bool text)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < NOISE_SIZE; i += 256)
        if (getrandom(noise + i, 256, 0) != 256)
            err(1, "getrandom");
    for (size_t i = 0; text && i < NOISE_SIZE; i++)
        noise[i] = (uint8_t)letters[noise[i] % 64];
}

/* How many left. ECONNREFUSED tells of an earlier one, and takes nothing away. */
static long send_batch(int s, unsigned count, bool text)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    int left;

    for (unsigned i = 0; i < count; i++) {
        size_t size = text ? TEXT_SIZE : NOISE_MIN + (size_t)(random() % (NOISE_MAX - NOISE_MIN + 1));

        parts[i] = (struct iovec){noise + random() % (NOISE_SIZE - NOISE_MAX), size};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    left = sendmmsg(s, messages, count, 0);
    if (left < 0 && errno != ECONNREFUSED && errno != ENOBUFS)
        err(1, "cannot send");
    return left < 0 ? 0 : left;
}

/* How many may go now: what is owed by the rate, at most a batch. */
static unsigned due(long sent, long count, double rate, double elapsed)
{
    long owed = rate > 0 ? (long)(elapsed * rate) + 1 - sent : BATCH;
    long left = count - sent;

    owed = owed < left ? owed : left;
    return (unsigned)(owed < 0 ? 0 : owed < BATCH ? owed : BATCH);
}

int main(int argc, char **argv)
{
    union endpoint to;
    long sent = 0, count;
    double rate, start, took;
    bool text;
    int s;

    if (argc != 6 || !endpoint_read(&to, argv[1]))
        errx(2, "usage: blast ADDRESS PORT RATE COUNT noise|text");
    to = endpoint_at(to, (uint16_t)atoi(argv[2]));
    rate = atof(argv[3]);
    count = atol(argv[4]);
    text = strcmp(argv[5], "text") == 0;
    make_noise(text);
    signal(SIGTERM, end);
    s = socket(to.any.sa_family, SOCK_DGRAM, 0);
    if (s < 0 || connect(s, &to.any, endpoint_size(&to)) != 0)
        err(1, "cannot speak to %s", argv[1]);
    for (start = seconds(); sent < count && !ended;) {
        unsigned now = due(sent, count, rate, seconds() - start);

        if (now > 0)
            sent += send_batch(s, now, text);
        else
            usleep(200);
    }
    took = seconds() - start;
    printf("%ld %.0f %.0f\n", sent, (double)sent / took, took / (double)sent * 1e9);
    return 0;
}
