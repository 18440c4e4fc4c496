#include "pair.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "log.h"
#include "sniffer.h"

enum {
    WAIT_MS = 60000, /* the xtables lock may keep a helper waiting, several times */
    SNIFFER_WAIT_MS = 1000,
    POLL_MS = 5,
    FD_HIGH = 16,    /* above the descriptors of message.h */
    RUN_PATH_SIZE = CONFIG_PATH_SIZE + sizeof "/helper",
};

void pair_init(struct pair *pair)
{
    *pair = (struct pair){.lifeline = -1, .control = -1};
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- waiting for children ----------------------------------------------- */

static void describe_end(const char *who, pid_t child, int status)
{
    if (pair_lost_capture(status)) {
        log_info("a capture has ended: its interface is gone");
        return;
    }
    if (WIFSIGNALED(status))
        log_warnx("%s (pid %ld) was ended by signal %d (%s)", who, (long)child, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        log_warnx("%s (pid %ld) exited with status %d", who, (long)child, WEXITSTATUS(status));
    else
        log_debug("%s (pid %ld) ended", who, (long)child);
}

pid_t pair_reap(pid_t child, int *status)
{
    siginfo_t ended = {0};

    if (waitid(child < 0 ? P_ALL : P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) != 0)
        return -1;
    if (ended.si_pid == 0)
        return 0;
    /* Each has a process group of its own, and cannot leave it; while it is not
     * reaped nobody else gets its number. */
    kill(-ended.si_pid, SIGKILL);
    return waitpid(ended.si_pid, status, 0);
}

/* Waits for a child that was told to end; kills one that does not. Returns its
 * wait status. */
static int await_end(pid_t child, const char *who, int patience_ms)
{
    int64_t deadline = clock_boot_ns() + (int64_t)patience_ms * NSEC_PER_MSEC;
    int status = 0;

    while (pair_reap(child, &status) == 0) {
        if (clock_boot_ns() >= deadline) {
            log_warnx("%s (pid %ld) does not end: killing it", who, (long)child);
            kill(child, SIGKILL);
            deadline = INT64_MAX;
        }
        poll(NULL, 0, POLL_MS);
    }
    return status;
}

/* ---- the helper's messages ---------------------------------------------- */

bool pair_order(struct pair *pair, struct helper_order *order)
{
    if (++pair->serial == 0) /* means: nobody asked */
        pair->serial = 1;
    order->serial = pair->serial;
    return pair->control >= 0 &&
           send(pair->control, order, sizeof *order, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof *order;
}

static bool is_sound(const struct helper_answer *answer)
{
    if (answer->event != HELPER_ANSWER || answer->count > HELPER_PAGE)
        return false;
    if (answer->backend != BACKEND_NFT && answer->backend != BACKEND_LEGACY)
        return false;
    for (uint32_t i = 0; i < answer->count; i++)
        if (answer->grants[i].service.protocol != IPPROTO_TCP &&
            answer->grants[i].service.protocol != IPPROTO_UDP)
            return false;
    return true;
}

/* The event, 0 when nothing waits, UINT32_MAX when it has hung up or talks nonsense. */
static uint32_t receive_event(struct pair *pair, struct helper_answer *answer)
{
    ssize_t n = recv(pair->control, answer, sizeof *answer, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n == sizeof answer->event && answer->event == HELPER_SNIFFER_BROKEN)
        return HELPER_SNIFFER_BROKEN;
    if (n != sizeof *answer || !is_sound(answer))
        return UINT32_MAX;
    memcpy(pair->verdicts, answer->verdicts, sizeof pair->verdicts);
    pair->live = answer->live;
    return HELPER_ANSWER;
}

uint64_t pair_count(const struct pair *pair, enum verdict verdict)
{
    return pair->verdicts_before[verdict] + pair->verdicts[verdict];
}

/* Takes the last words of a helper that has ended, and its counts to those of the
 * ones before. */
static void bury_helper(struct pair *pair)
{
    enum { WORDS_MAX = 64 };
    struct helper_answer answer;

    for (int i = 0; pair->control >= 0 && i < WORDS_MAX; i++)
        if (receive_event(pair, &answer) == 0)
            break;
    for (size_t i = 0; i < VERDICTS; i++)
        pair->verdicts_before[i] += pair->verdicts[i];
    memset(pair->verdicts, 0, sizeof pair->verdicts);
    pair->helper = 0;
    close_if_open(&pair->control);
}

/* It passes on what it has captured; but it may be hostile. */
static void end_sniffer(struct pair *pair)
{
    close_if_open(&pair->lifeline);
    if (pair->sniffer)
        await_end(pair->sniffer, "the sniffer", SNIFFER_WAIT_MS);
    pair->sniffer = 0;
}

static void end_helper(struct pair *pair, bool remove_grants)
{
    const struct helper_order stop = {.command = HELPER_STOP};

    if (pair->helper && remove_grants &&
        send(pair->control, &stop, sizeof stop, MSG_NOSIGNAL) != sizeof stop)
        log_warn("cannot tell the helper to stop; live grants end at their deadlines");
    if (pair->control >= 0)
        shutdown(pair->control, SHUT_WR); /* what it still says is to be heard */
    if (pair->helper)
        await_end(pair->helper, "the helper", WAIT_MS);
    bury_helper(pair);
}

void pair_end(struct pair *pair, bool remove_grants)
{
    end_sniffer(pair); /* first: the helper then serves what it passed on */
    end_helper(pair, remove_grants);
}

bool pair_lost_capture(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == SNIFFER_EXIT_CAPTURE_ENDED;
}

bool pair_note_end(struct pair *pair, pid_t child, int status)
{
    if (child == pair->sniffer) {
        describe_end("the sniffer", child, status);
        pair->sniffer = 0;
        close_if_open(&pair->lifeline);
        return true;
    }
    if (child == pair->helper) {
        describe_end("the helper", child, status);
        bury_helper(pair);
        return true;
    }
    return false;
}

uint32_t pair_read_event(struct pair *pair, struct helper_answer *answer)
{
    uint32_t event = receive_event(pair, answer);

    if (event != UINT32_MAX)
        return event;
    /* It hung up, which only its end should do, or talks nonsense: see to its end. */
    close_if_open(&pair->control);
    if (pair->helper)
        kill(pair->helper, SIGKILL);
    return 0;
}

/* ---- interfaces --------------------------------------------------------- */

/* The kernel's index of an interface that is up, else 0. "any" is always there. */
static uint32_t usable_index(const char *interface)
{
    struct ifreq request = {0};
    int fd;
    bool up;

    if (strcmp(interface, "any") == 0)
        return UINT32_MAX;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
    close(fd);
    return up ? if_nametoindex(interface) : 0;
}

static bool is_gone(const char *interface)
{
    return strcmp(interface, "any") != 0 && if_nametoindex(interface) == 0;
}

bool pair_has_other_interfaces(const struct pair *pair, const struct config *config)
{
    for (size_t i = 0; i < config->interface_count; i++) {
        uint32_t index = usable_index(config->interfaces[i]);

        if (index != 0 && index != pair->interfaces[i])
            return true;
        if (pair->interfaces[i] != 0 && is_gone(config->interfaces[i]))
            return true;
    }
    return false;
}

/* ---- the sniffer -------------------------------------------------------- */

/* False when it ended, or said nothing, before its captures were open. */
static bool await_captures(int lifeline)
{
    struct pollfd fd = {.fd = lifeline, .events = POLLIN};
    char byte;
    int n;

    do
        n = poll(&fd, 1, WAIT_MS);
    while (n < 0 && errno == EINTR);
    return n == 1 && read(lifeline, &byte, 1) == 1;
}

static bool start_sniffer(struct pair *pair, struct config *config, struct counters *counters,
                          int helper, bool trace)
{
    struct sniffer_start start = {
        .config = config, .counters = counters, .helper = helper, .trace = trace};
    int lifeline[2];

    for (size_t i = 0; i < config->interface_count; i++) {
        pair->interfaces[i] = usable_index(config->interfaces[i]);
        if (pair->interfaces[i] != 0)
            start.links |= 1u << i;
        else
            log_warnx("interface %s is not there or is down: waiting for it",
                      config->interfaces[i]);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, lifeline) != 0)
        return false;
    pair->sniffer = fork();
    if (pair->sniffer == 0) {
        start.lifeline = lifeline[1];
        sniffer_run(&start);
    }
    close(lifeline[1]);
    pair->lifeline = lifeline[0];
    if (pair->sniffer < 0) {
        pair->sniffer = 0;
        return false;
    }
    return await_captures(pair->lifeline);
}

/* ---- the helper --------------------------------------------------------- */

/* Descriptors that become 3 to 6 in the helper, in that order. */
struct inheritance {
    int fds[4];
};

static pid_t spawn_helper(const struct inheritance *from)
{
    char *const argv[] = {strdupa("portsmith-helper"), NULL};
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t helper = 0;
    int error;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (int i = 0; i < 4; i++)
        posix_spawn_file_actions_adddup2(&actions, from->fds[i], HELPER_FD_SUPERVISOR + i);
    posix_spawn_file_actions_addclosefrom_np(&actions, HELPER_FD_RUN + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    error = posix_spawn(&helper, PORTSMITH_HELPER, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error) {
        errno = error;
        log_warn("cannot start %s", PORTSMITH_HELPER);
        return 0;
    }
    return helper;
}

/* A high copy of `fd`, so that putting copies at 3 to 6 overwrites none. */
static int high_copy(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_HIGH);
}

/* A directory whose files the helper may rely on; -1 with the reason in the log. */
static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat s;

    if (fd < 0 || fstat(fd, &s) != 0)
        log_warn("cannot open %s", path);
    else if (s.st_uid != 0 || (s.st_mode & 022))
        log_warnx("%s must belong to root and be writable by nobody else", path);
    else
        return fd;
    close_if_open(&fd);
    return -1;
}

/* Who can open the state directory can lock it, and so keep the helper out. */
static int open_state_directory(const char *path)
{
    int fd = open_directory(path);
    struct stat s;

    if (fd >= 0 && (fstat(fd, &s) != 0 || ((s.st_mode & 077) && fchmod(fd, 0700) != 0))) {
        log_warn("cannot make %s private", path);
        close_if_open(&fd);
    }
    return fd;
}

static int open_nothing(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Starts a helper with our end of its control socket in *control. */
static pid_t start_helper(int *control, int sniffer, int state, int run)
{
    struct inheritance from = {.fds = {-1, high_copy(sniffer), high_copy(state), high_copy(run)}};
    int ends[2];
    pid_t helper = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return 0;
    from.fds[0] = high_copy(ends[1]);
    close(ends[1]);
    if (from.fds[0] >= 0 && from.fds[1] >= 0 && from.fds[2] >= 0 && from.fds[3] >= 0)
        helper = spawn_helper(&from);
    else
        log_warn("cannot prepare the helper's descriptors");
    for (int i = 0; i < 4; i++)
        close_if_open(&from.fds[i]);
    *control = ends[0];
    return helper;
}

static void fill_setup(struct helper_setup *setup, enum helper_mode mode,
                       const struct config *config, const struct pair_logging *logging)
{
    memset(setup, 0, sizeof *setup);
    setup->mode = mode;
    setup->foreground = logging->foreground;
    setup->debug = logging->debug;
    setup->trace = logging->trace;
    if (!config)
        return;
    setup->backend = config->backend;
    setup->grant_store = config->grant_store;
    setup->close_with_reset = config->close_with_reset;
    setup->forward = config->forward;
    for (size_t i = 0; i < config->profile_count; i++)
        setup->sends_on |= config->profiles[i].destination_count > 0;
    setup->skew_checked = config->skew_checked;
    setup->max_skew = config->max_skew;
    setup->max_grants = config->max_grants;
    setup->close_count = config->close_count;
    memcpy(setup->close, config->close, sizeof setup->close);
    memcpy(setup->server_public, config->server_public, KEY_SIZE);
    if (mode != HELPER_RELEASE)
        setup->profile_count = (uint32_t)config->profile_count;
}

static void fill_profile(struct helper_profile_message *to, const struct profile *from)
{
    memset(to, 0, sizeof *to);
    memcpy(to->name, from->name, sizeof to->name);
    to->needs_signed_address = from->needs_signed_address;
    to->service_count = from->service_count;
    to->prefix_count = from->prefix_count;
    memcpy(to->services, from->services, from->service_count * sizeof *to->services);
    memcpy(to->prefixes, from->prefixes, from->prefix_count * sizeof *to->prefixes);
    to->destination_count = from->destination_count;
    memcpy(to->destinations, from->destinations,
           from->destination_count * sizeof *to->destinations);
    memcpy(to->public_key, from->public_key, KEY_SIZE);
    to->window = from->window;
    to->max_window = from->max_window;
    to->max_grants = from->max_grants;
    to->connections = from->connections;
    to->hours_count = from->hours_count;
    memcpy(to->hours, from->hours, from->hours_count * sizeof *to->hours);
    to->expires = from->expires;
}

static bool send_setup(int control, const struct helper_setup *setup, const struct config *config)
{
    struct helper_profile_message profile;

    if (send(control, setup, sizeof *setup, MSG_NOSIGNAL) != sizeof *setup)
        return false;
    for (size_t i = 0; i < setup->profile_count; i++) {
        fill_profile(&profile, &config->profiles[i]);
        if (send(control, &profile, sizeof profile, MSG_NOSIGNAL) != sizeof profile)
            return false;
    }
    return true;
}

/* Whether it says that it is ready before it ends or time is up. */
static bool await_ready(int control)
{
    struct pollfd fd = {.fd = control, .events = POLLIN};
    uint32_t event = 0;
    int n;

    do
        n = poll(&fd, 1, WAIT_MS);
    while (n < 0 && errno == EINTR);
    return n == 1 && recv(control, &event, sizeof event, MSG_TRUNC) == sizeof event &&
           event == HELPER_READY;
}

static enum pair_result result_of(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == HELPER_EXIT_OK)
        return PAIR_STARTED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == HELPER_EXIT_UNUSABLE)
        return PAIR_UNUSABLE;
    return PAIR_FAILED;
}

/* All that the helper can write to: what else lies in the run directory is not
 * its own. */
static const char *helper_directory(char path[static RUN_PATH_SIZE], const struct config *config)
{
    snprintf(path, RUN_PATH_SIZE, "%s/helper", config->run_directory);
    return path;
}

/* Makes the directories that a helper and a sniffer need. */
static bool make_directories(const struct config *config)
{
    char empty[RUN_PATH_SIZE], helper[RUN_PATH_SIZE];
    struct error why;

    snprintf(empty, sizeof empty, "%s/empty", config->run_directory);
    if (file_make_directory(config->state_directory, 0700, &why) &&
        file_make_directory(empty, 0755, &why) &&
        file_make_directory(helper_directory(helper, config), 0700, &why))
        return true;
    log_warnx("%s", why.text);
    return false;
}

static enum pair_result start_serving_helper(struct pair *pair, const struct config *config,
                                             const struct pair_logging *logging, int sniffer)
{
    int state = open_state_directory(config->state_directory);
    int run = open_directory(config->run_directory);
    char path[RUN_PATH_SIZE];
    int grants = run < 0 ? -1 : open_directory(helper_directory(path, config));
    struct helper_setup setup;
    enum pair_result result;

    if (state >= 0 && grants >= 0)
        pair->helper = start_helper(&pair->control, sniffer, state, grants);
    close_if_open(&state);
    close_if_open(&run);
    close_if_open(&grants);
    if (pair->helper == 0)
        return PAIR_FAILED;
    fill_setup(&setup, HELPER_RUN, config, logging);
    if (send_setup(pair->control, &setup, config) && await_ready(pair->control))
        return PAIR_STARTED;
    close_if_open(&pair->control);
    result = result_of(await_end(pair->helper, "the helper", WAIT_MS));
    pair->helper = 0;
    return result == PAIR_STARTED ? PAIR_FAILED : result;
}

/* ---- the pair ----------------------------------------------------------- */

enum pair_result pair_replace(struct pair *pair, struct config *config, struct counters *counters,
                              const struct pair_logging *logging)
{
    struct pair new;
    enum pair_result result;
    int between[2];

    pair_init(&new);
    if (!make_directories(config))
        return PAIR_FAILED;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, between) != 0) {
        log_warn("cannot make a socket pair");
        return PAIR_FAILED;
    }
    if (!start_sniffer(&new, config, counters, between[0], logging->trace)) {
        log_warnx("the sniffer did not start");
        end_sniffer(&new);
        result = PAIR_FAILED;
    } else {
        pair_end(pair, false);
        memcpy(new.verdicts_before, pair->verdicts_before, sizeof new.verdicts_before);
        new.live = pair->live;
        result = start_serving_helper(&new, config, logging, between[1]);
        if (result != PAIR_STARTED)
            pair_end(&new, false);
        *pair = new;
    }
    close(between[0]);
    close(between[1]);
    return result;
}

/* Runs a helper that only does one thing and exits. */
static enum pair_result run_helper_once(const struct helper_setup *setup,
                                        const struct config *config)
{
    int nothing = open_nothing(), control = -1;
    pid_t helper = nothing < 0 ? 0 : start_helper(&control, nothing, nothing, nothing);
    enum pair_result result = PAIR_FAILED;

    if (helper != 0 && send_setup(control, setup, config))
        result = result_of(await_end(helper, "the helper", WAIT_MS));
    close_if_open(&control);
    close_if_open(&nothing);
    return result;
}

enum pair_result pair_probe(const struct config *config, const struct pair_logging *logging)
{
    struct helper_setup setup;

    fill_setup(&setup, HELPER_PROBE, config, logging);
    return run_helper_once(&setup, config);
}

bool pair_release(const struct pair_logging *logging)
{
    struct helper_setup setup;

    fill_setup(&setup, HELPER_RELEASE, NULL, logging);
    return run_helper_once(&setup, NULL) == PAIR_STARTED;
}
