#include "daemon/sniffer/sniffer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/privilege/powerless.h"
#include "common/privilege/syscalls.h"
#include "daemon/sniffer/capture.h"
#include "daemon/sniffer/confine.h"
#include "daemon/sniffer/examine.h"
#include "daemon/sniffer/flood.h"
#include "daemon/sniffer/sniffermessage.h"
#include "privsep/message.h"

_Static_assert((int)UNANSWERED_MAX >= (int)CAPTURE_FRAMES_AT_ONCE, "or nothing is ever read");

struct sniffer {
    struct clientele clientele;
    struct knock_limits limits;
    unsigned transports; /* a set of those listened to: bits 1 << enum transport */
    struct counters *counters;
    const struct own_addresses *own;
    struct capture captures[CONFIG_INTERFACES];
    size_t capture_count;
    struct sniffer_ready ready;
    bool traces;
    struct unanswered unanswered;
    struct flood flood;
};

/* ---- getting ready ------------------------------------------------------ */

static void prepare_process(void)
{
    for (int fd = SNIFFER_FD_SUPERVISOR; fd <= SNIFFER_FD_COUNTERS; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            fatalx("portsmith-sniffer is started by portsmithd, never by hand");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) /* before keys come; execve has reset it */
        fatal("cannot forbid core dumps");
    setsid(); /* so that a Ctrl-C at the terminal reaches the supervisor alone */
    if (sodium_init() < 0)
        fatalx("libsodium cannot be initialised");
}

static void receive(void *message, size_t size)
{
    if (recv(SNIFFER_FD_SUPERVISOR, message, size, MSG_TRUNC) != (ssize_t)size)
        fatalx("portsmithd has not told all that a sniffer has to know");
}

static void receive_profiles(struct clientele *clientele, const struct sniffer_setup *setup)
{
    struct sniffer_profile profile;
    struct error why;

    if (!clientele_create(clientele, setup->profile_count, setup->server_public, &why))
        fatalx("%s", why.text);
    /* libsodium has tried this already, and tells nobody whether it could. */
    if (sodium_mlock(clientele->clients, setup->profile_count * sizeof *clientele->clients) != 0)
        log_warnx("the profiles' keys cannot be locked in memory, and may get into swap space: "
                  "raise the limit of locked memory (LimitMEMLOCK of systemd, ulimit -l)");
    for (uint32_t i = 0; i < setup->profile_count; i++) {
        receive(&profile, sizeof profile);
        clientele_add(clientele, &profile);
    }
    sodium_memzero(&profile, sizeof profile);
}

/* Maps the memory that is shared with the supervisor. */
static void map_counters(struct sniffer *s)
{
    struct counters_memory *memory = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED,
                                          SNIFFER_FD_COUNTERS, 0);

    if (memory == MAP_FAILED)
        fatal("cannot map the counters");
    close(SNIFFER_FD_COUNTERS);
    s->counters = &memory->counters;
    s->own = &memory->own;
}

/* Opens a capture on each interface. An interface whose link type is not known here is left
 * out. */
static void open_captures(struct sniffer *s, const struct sniffer_setup *setup)
{
    struct error why;

    for (unsigned i = 0; i < setup->interface_count; i++)
        switch (capture_open(&s->captures[s->capture_count], setup->interfaces[i], setup, &why)) {
        case CAPTURE_OPENED:
            s->capture_count++;
            break;
        case CAPTURE_UNSUPPORTED:
            log_warnx("%s: knocks that come in by it are not heard", why.text);
            s->ready.unsupported |= 1u << i;
            break;
        case CAPTURE_FAILED:
            fatalx("%s", why.text);
        }
}

static void prepare(struct sniffer *s, const struct sniffer_setup *setup)
{
    struct error why;

    map_counters(s);
    s->traces = setup->trace;
    s->transports = setup->transports;
    s->limits = (struct knock_limits){.skew_checked = setup->skew_checked,
                                      .max_skew = setup->max_skew};
    receive_profiles(&s->clientele, setup);
    open_captures(s, setup);
    if (!powerless_become(setup->empty, setup->uid, setup->gid, &why))
        fatalx("%s", why.text);
}

/* ---- serving ------------------------------------------------------------ */

static void read_replies(struct sniffer *s)
{
    struct helper_reply reply;

    for (;;) {
        ssize_t n = recv(SNIFFER_FD_HELPER, &reply, sizeof reply, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n != sizeof reply || !knock_learn(&s->unanswered, &reply))
            exit(EXIT_SUCCESS); /* the helper has gone: so does its sniffer */
        if (reply.verdict == VERDICT_OPENED || reply.verdict == VERDICT_EXTENDED ||
            reply.verdict == VERDICT_CLOSED)
            s->counters->granted++;
        else
            s->counters->refused++;
    }
}

static void pass_on(struct sniffer *s, struct helper_request *message)
{
    if (s->traces)
        message->times.opened = clock_wall_ns();
    if (send(SNIFFER_FD_HELPER, message, sizeof *message, MSG_DONTWAIT | MSG_NOSIGNAL) !=
        sizeof *message) {
        s->counters->unsent++; /* if the helper has gone, poll says so */
        knock_not_sent(&s->unanswered);
        return;
    }
    s->counters->passed++;
}

static void take_frame(void *user, enum frame_link link, const uint8_t *bytes, size_t size,
                       int64_t captured)
{
    struct sniffer *s = user;
    struct helper_request message = {0};
    struct frame frame;
    uint64_t garbage;

    s->counters->captured++;
    if (s->traces)
        message.times = (struct helper_times){.captured = captured, .taken = clock_wall_ns()};
    if (!frame_decode(&frame, link, s->transports, bytes, size)) {
        s->counters->garbage++;
        return;
    }
    garbage = s->counters->garbage;
    if (knock_examine(&message, &frame, &s->clientele, &s->unanswered, &s->limits, s->counters))
        pass_on(s, &message);
    else if (s->counters->garbage > garbage && !counters_is_own(s->own, &frame.destination))
        s->counters->foreign++;
}

static bool may_take_frames(const struct sniffer *s)
{
    return s->unanswered.count + CAPTURE_FRAMES_AT_ONCE <= UNANSWERED_MAX;
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

static _Noreturn void listen_for_knocks(struct sniffer *s)
{
    enum { SUPERVISOR, HELPER, CAPTURES };
    struct pollfd fds[CAPTURES + CONFIG_INTERFACES] = {
        [SUPERVISOR] = {.fd = SNIFFER_FD_SUPERVISOR, .events = POLLIN},
        [HELPER] = {.fd = SNIFFER_FD_HELPER, .events = POLLIN},
    };
    struct timespec pause = {0};

    for (;;) {
        for (size_t i = 0; i < s->capture_count; i++) /* poll passes over -1 */
            fds[CAPTURES + i] = (struct pollfd){.fd = may_take_frames(s) ? s->captures[i].fd : -1,
                                                .events = POLLIN};
        if (poll(fds, CAPTURES + s->capture_count, -1) < 0 && errno != EINTR)
            fatal("poll");
        if (fds[HELPER].revents)
            read_replies(s);
        read_captures(s, fds + CAPTURES);
        if (fds[SUPERVISOR].revents) /* the last to be asked, so that frames are passed on */
            exit(EXIT_SUCCESS);
        /* Meanwhile replies can wait, and the captures' buffers have room for what two million
         * frames a second bring. */
        pause.tv_nsec = (long)flood_pause(&s->flood, s->counters, clock_boot_ns());
        if (pause.tv_nsec > 0)
            ppoll(NULL, 0, &pause, NULL);
    }
}

/* Closes the process's ways to standard error and the log. Standard error is shared with other
 * processes, and the log is believed, so neither is for a process that reads hostile bytes. From
 * here on its exit status is all it says, but for the name of a forbidden system call in a debug
 * build. */
static void fall_silent(int nothing)
{
    const int last = SYSCALLS_NAMES_CALLS ? STDOUT_FILENO : STDERR_FILENO;

    for (int fd = STDIN_FILENO; fd <= last; fd++)
        if (dup2(nothing, fd) < 0)
            fatal("cannot give up the terminal");
    close(nothing);
    log_open("portsmith-sniffer", true, false); /* closes its way to syslog */
}

void sniffer_run(void)
{
    static struct sniffer sniffer;
    struct sniffer_setup setup;
    struct error why;
    int nothing;

    prepare_process();
    receive(&setup, sizeof setup);
    log_open("portsmith-sniffer", setup.foreground, setup.debug);
    nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    prepare(&sniffer, &setup);
    if (write(SNIFFER_FD_SUPERVISOR, &sniffer.ready, sizeof sniffer.ready) !=
        sizeof sniffer.ready)
        exit(EXIT_FAILURE);
    fall_silent(nothing);
    if (!sniffer_confine(SNIFFER_FD_HELPER, &why))
        exit(EXIT_FAILURE);
    listen_for_knocks(&sniffer);
}
