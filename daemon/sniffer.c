#include "sniffer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture.h"
#include "clock.h"
#include "drop.h"
#include "filter.h"
#include "flood.h"
#include "knock.h"
#include "log.h"
#include "message.h"
#include "sandbox.h"

enum { FD_LIFELINE = 3, FD_HELPER = 4, FD_FIRST_FREE = 5 };

/* So many replies fit into the socket, however slow we are to read them: the
 * helper cuts off a sniffer that lets it fill up. While there could be more,
 * frames wait in the capture's buffer. */
enum { UNANSWERED_MAX = 128 };
_Static_assert((int)UNANSWERED_MAX >= (int)CAPTURE_FRAMES_AT_ONCE, "or nothing is ever read");

struct sniffer {
    struct roster roster;
    struct knock_limits limits;
    unsigned transports; /* that are listened to: bits 1 << enum transport */
    struct counters *counters;
    struct capture captures[CONFIG_INTERFACES];
    size_t capture_count;
    uint32_t serial;
    bool traces;
    unsigned unanswered; /* requests whose replies were not read */
    struct flood flood;
};

/* Leaves standard input to error, the lifeline and the helper's socket open. */
static void keep_descriptors(int lifeline, int helper)
{
    int high_lifeline = fcntl(lifeline, F_DUPFD, FD_FIRST_FREE);
    int high_helper = fcntl(helper, F_DUPFD, FD_FIRST_FREE);

    if (dup2(high_lifeline, FD_LIFELINE) < 0 || dup2(high_helper, FD_HELPER) < 0 ||
        close_range(FD_FIRST_FREE, ~0u, 0) != 0)
        fatal("cannot arrange descriptors");
}

static void open_captures(struct sniffer *s, const struct config *config, uint32_t links)
{
    struct error why;

    for (size_t i = 0; i < config->interface_count; i++) {
        if (!(links & (1u << i)))
            continue;
        if (!capture_open(&s->captures[s->capture_count], config->interfaces[i], config, &why))
            fatalx("%s", why.text);
        s->capture_count++;
    }
}

static void prepare(struct sniffer *s, const struct sniffer_start *start)
{
    struct config *config = start->config;
    char empty[CONFIG_PATH_SIZE + sizeof "/empty"];
    struct error why;

    s->counters = start->counters;
    s->traces = start->trace;
    s->transports = config->transports;
    s->limits = (struct knock_limits){.skew_checked = config->skew_checked,
                                      .max_skew = config->max_skew};
    if (!roster_create(&s->roster, config, &why))
        fatalx("%s", why.text);
    open_captures(s, config, start->links);
    snprintf(empty, sizeof empty, "%s/empty", config->run_directory);
    if (!drop_privileges(empty, config->uid, config->gid, &why))
        fatalx("%s", why.text);
    config_free(config);
}

static void take_reply(struct sniffer *s, const struct helper_reply *reply)
{
    struct client *client = roster_find(&s->roster, reply->key_id);

    s->unanswered--;
    if (client)
        roster_learn(client, reply->counters);
    if (reply->verdict == VERDICT_OPENED || reply->verdict == VERDICT_EXTENDED ||
        reply->verdict == VERDICT_CLOSED)
        s->counters->granted++;
    else
        s->counters->refused++;
}

static void read_replies(struct sniffer *s)
{
    struct helper_reply reply;

    for (;;) {
        ssize_t n = recv(FD_HELPER, &reply, sizeof reply, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n != sizeof reply)
            exit(EXIT_SUCCESS); /* the helper has gone: so does its sniffer */
        take_reply(s, &reply);
    }
}

static void pass_on(struct sniffer *s, struct helper_request *message)
{
    message->serial = ++s->serial;
    if (s->traces)
        message->times.opened = clock_wall_ns();
    if (send(FD_HELPER, message, sizeof *message, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof *message) {
        s->counters->unsent++; /* if the helper has gone, poll says so */
        return;
    }
    s->unanswered++;
    s->counters->passed++;
}

static void take_frame(void *user, enum frame_link link, const uint8_t *bytes, size_t size,
                       int64_t captured)
{
    struct sniffer *s = user;
    struct helper_request message = {0};
    struct frame frame;

    s->counters->captured++;
    if (s->traces)
        message.times = (struct helper_times){.captured = captured, .taken = clock_wall_ns()};
    if (!frame_decode(&frame, link, s->transports, bytes, size)) {
        s->counters->garbage++;
        return;
    }
    if (knock_examine(&message, &frame, &s->roster, &s->limits, s->counters))
        pass_on(s, &message);
}

static bool may_take_frames(const struct sniffer *s)
{
    return s->unanswered + CAPTURE_FRAMES_AT_ONCE <= UNANSWERED_MAX;
}

static void read_captures(struct sniffer *s, const struct pollfd *fds)
{
    struct error why;

    for (size_t i = 0; i < s->capture_count && may_take_frames(s); i++) {
        if (!fds[i].revents)
            continue;
        if (!capture_read(&s->captures[i], take_frame, s, &s->counters->dropped, &why))
            exit(SNIFFER_EXIT_CAPTURE_ENDED);
    }
}

/* The capture's buffer has room for what three million frames a second bring meanwhile, and
 * replies can wait. */
static void pause_if_flooded(struct sniffer *s)
{
    const struct timespec pause = {
        .tv_nsec = flood_pause(&s->flood, s->counters, clock_boot_ns()),
    };

    if (pause.tv_nsec > 0)
        ppoll(NULL, 0, &pause, NULL);
}

static _Noreturn void watch(struct sniffer *s)
{
    enum { LIFELINE, HELPER, CAPTURES };
    struct pollfd fds[CAPTURES + CONFIG_INTERFACES] = {
        [LIFELINE] = {.fd = FD_LIFELINE, .events = POLLIN},
        [HELPER] = {.fd = FD_HELPER, .events = POLLIN},
    };

    for (;;) {
        for (size_t i = 0; i < s->capture_count; i++) /* -1: not now */
            fds[CAPTURES + i] = (struct pollfd){.fd = may_take_frames(s) ? s->captures[i].fd : -1,
                                                .events = POLLIN};
        if (poll(fds, CAPTURES + s->capture_count, -1) < 0 && errno != EINTR)
            fatal("poll");
        if (fds[HELPER].revents)
            read_replies(s);
        read_captures(s, fds + CAPTURES);
        if (fds[LIFELINE].revents) /* last: what waited has been passed on */
            exit(EXIT_SUCCESS);
        pause_if_flooded(s);
    }
}

/* Standard error is shared with the others, the log is believed: neither is for
 * what reads hostile bytes. From here on the exit status is all it says, but
 * for the name of a forbidden system call in a debug build. */
static void fall_silent(int nothing)
{
    const int last = FILTER_NAMES_CALLS ? STDOUT_FILENO : STDERR_FILENO;

    for (int fd = STDIN_FILENO; fd <= last; fd++)
        if (dup2(nothing, fd) < 0)
            fatal("cannot give up the terminal");
    close(nothing);
    log_open("portsmith-sniffer", true, false); /* closes its way to syslog */
}

void sniffer_run(const struct sniffer_start *start)
{
    static struct sniffer sniffer;
    struct error why;
    sigset_t none;
    int nothing;

    log_close();
    keep_descriptors(start->lifeline, start->helper);
    log_rename("portsmith-sniffer");
    prctl(PR_SET_NAME, "portsmith-sniff");
    setsid(); /* off the terminal: a Ctrl-C is the supervisor's to answer */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    prepare(&sniffer, start);
    if (write(FD_LIFELINE, "", 1) != 1)
        exit(EXIT_FAILURE);
    fall_silent(nothing);
    if (!sandbox_enter_as_sniffer(FD_HELPER, &why))
        exit(EXIT_FAILURE);
    watch(&sniffer);
}
