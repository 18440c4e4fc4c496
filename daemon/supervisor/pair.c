#include "daemon/supervisor/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/libc.h"
#include "common/log.h"
#include "common/linux/memfile.h"
#include "common/printable.h"
#include "daemon/host/tracking.h"
#include "daemon/host/vrf.h"
#include "daemon/sniffer/sniffermessage.h"
#include "daemon/supervisor/witnessing.h"
#include "privsep/event.h"
#include "privsep/plan.h"
#include "privsep/setup.h"
#include "privsep/witnessmessage.h"

enum {
    WAIT_MS = 60000, /* the xtables lock may keep a helper waiting, several times */
    SNIFFER_WAIT_MS = 1000,
    WITNESS_WAIT_MS = 2000, /* it may have thousands of lines to write, to a log that is slow */
    POLL_MS = 5,
    FD_HIGH = 20,    /* above the descriptors of message.h */
    RUN_PATH_SIZE = CONFIG_PATH_SIZE + sizeof "/helper",
};

void pair_init(struct pair *pair)
{
    *pair = (struct pair){.lifeline = -1, .orders = -1, .questions = -1, .uses = -1, .news = -1};
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- waiting for children ----------------------------------------------- */

static void log_end(const char *who, pid_t child, int status)
{
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
    /* Each child has a process group of its own, and cannot leave it. While the child is not reaped
     * no other process gets its number. */
    kill(-ended.si_pid, SIGKILL);
    return waitpid(ended.si_pid, status, 0);
}

/* Waits for a child that was told to end, and kills it if it does not. Returns its wait status. A
 * child that may not be killed is left behind, as if it had failed, and is reaped once it has
 * ended. */
static int await_end(pid_t child, const char *who, int patience_ms)
{
    int64_t deadline = clock_boot_ns() + (int64_t)patience_ms * NSEC_PER_MSEC;
    int status = 0;

    while (pair_reap(child, &status) == 0) {
        if (clock_boot_ns() >= deadline) {
            log_warnx("%s (pid %ld) does not end: killing it", who, (long)child);
            if (kill(child, SIGKILL) != 0) { /* a sniffer is another user's: CAP_KILL */
                log_warn("%s (pid %ld) cannot be killed and is left behind; end it by hand, and "
                         "give portsmithd CAP_KILL", who, (long)child);
                return EXIT_FAILURE << 8; /* wait(2) */
            }
            deadline = INT64_MAX;
        }
        poll(NULL, 0, POLL_MS);
    }
    return status;
}

/* ---- the helper's messages ---------------------------------------------- */

bool pair_order(struct pair *pair, struct helper_order *order)
{
    if (++pair->serial == 0) /* which is for reports that nobody asked for */
        pair->serial = 1;
    order->serial = pair->serial;
    return pair->orders >= 0 &&
           send(pair->orders, order, sizeof *order, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof *order;
}

static bool is_sound(const struct helper_report *report)
{
    return report->kind == HELPER_REPORT &&
           report->backend > BACKEND_AUTO && report->backend <= BACKEND_NFTABLES &&
           report->owned <= (report->backend == BACKEND_NFTABLES) &&
           report->rules <= HELPER_RULES_MISSING;
}

/* Rules that are in force are contested where another program keeps removing them. */
static void note_rules(struct pair *pair, struct helper_report *report)
{
    const int64_t now = clock_boot_ns();

    if (report->rules == HELPER_RULES_MISSING && pair->rules != HELPER_RULES_MISSING) {
        pair->removals = now < pair->quiet_at ? pair->removals + 1 : 1;
        pair->quiet_at = now + QUIET_SECONDS * (int64_t)NSEC_PER_SEC;
    }
    if (report->rules == HELPER_RULES_IN_FORCE && pair->removals > REMOVALS_OFTEN &&
        now < pair->quiet_at)
        report->rules = HELPER_RULES_CONTESTED;
    pair->rules = report->rules;
}

int64_t pair_follow_quiet(struct pair *pair)
{
    if (pair->rules == HELPER_RULES_CONTESTED && clock_boot_ns() >= pair->quiet_at)
        pair->rules = HELPER_RULES_IN_FORCE;
    return pair->rules == HELPER_RULES_CONTESTED ? pair->quiet_at : 0;
}

/* Receives the helper's message, and returns its kind; 0 when none waits, UINT32_MAX when the
 * helper has hung up or talks nonsense. */
static uint32_t receive_report(struct pair *pair, struct helper_report *report)
{
    ssize_t n = recv(pair->orders, report, sizeof *report, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n == sizeof report->kind && report->kind == HELPER_PEER_BROKEN)
        return HELPER_PEER_BROKEN;
    if (n != sizeof *report || !is_sound(report))
        return UINT32_MAX;
    memcpy(pair->verdicts, report->verdicts, sizeof pair->verdicts);
    pair->live = report->live;
    pair->owned = report->owned;
    note_rules(pair, report);
    return HELPER_REPORT;
}

uint64_t pair_count(const struct pair *pair, enum verdict verdict)
{
    return pair->verdicts_before[verdict] + pair->verdicts[verdict];
}

/* Hears the last words of a helper that has ended, and adds its counts to those of the helpers
 * before it. */
static void bury_helper(struct pair *pair)
{
    enum { WORDS_MAX = 64 };
    struct helper_report report;

    for (int i = 0; pair->orders >= 0 && i < WORDS_MAX; i++)
        if (receive_report(pair, &report) == 0)
            break;
    for (size_t i = 0; i < VERDICTS; i++)
        pair->verdicts_before[i] += pair->verdicts[i];
    memset(pair->verdicts, 0, sizeof pair->verdicts);
    pair->helper = 0;
    pair->rules = HELPER_RULES_UNKNOWN;
    pair->owned = 0;
    close_if_open(&pair->orders);
}

/* Ends the sniffer, which passes on what it has captured. It may be hostile, so it is waited for
 * only briefly. */
static void end_sniffer(struct pair *pair)
{
    close_if_open(&pair->lifeline);
    if (pair->sniffer)
        await_end(pair->sniffer, "the sniffer", SNIFFER_WAIT_MS);
    pair->sniffer = 0;
}

/* False: it could not be told to remove grants. */
static bool end_helper(struct pair *pair, bool remove_grants)
{
    const struct helper_order stop = {.command = HELPER_STOP};
    bool told = !remove_grants || (pair->helper && send(pair->orders, &stop, sizeof stop,
                                                        MSG_NOSIGNAL) == sizeof stop);

    if (pair->orders >= 0)
        shutdown(pair->orders, SHUT_WR); /* the helper still has something to say */
    if (pair->helper)
        await_end(pair->helper, "the helper", WAIT_MS);
    bury_helper(pair);
    return told;
}

/* Ends the witness, which says what it has heard of the helper by now. One that hangs is waited for
 * only briefly. */
static void end_witness(struct pair *pair)
{
    close_if_open(&pair->questions);
    if (pair->witness)
        await_end(pair->witness, "the witness", WITNESS_WAIT_MS);
    pair->witness = 0;
}

bool pair_end(struct pair *pair, bool remove_grants)
{
    bool told;

    end_sniffer(pair); /* first: the helper then serves what it passed on */
    told = end_helper(pair, remove_grants);
    end_witness(pair);
    return told;
}

uint32_t pair_read_report(struct pair *pair, struct helper_report *report)
{
    uint32_t kind = receive_report(pair, report);

    if (kind != UINT32_MAX)
        return kind;
    /* Only a helper that has ended should hang up, and none should talk nonsense. */
    close_if_open(&pair->orders);
    if (pair->helper)
        kill(pair->helper, SIGKILL);
    return 0;
}

bool pair_read_question(struct pair *pair, uint32_t *id)
{
    struct witness_question question;
    ssize_t n = recv(pair->questions, &question, sizeof question, MSG_DONTWAIT | MSG_TRUNC);

    if (n == sizeof question) {
        *id = question.id;
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    close_if_open(&pair->questions);
    if (pair->witness)
        kill(pair->witness, SIGKILL);
    return false;
}

/* ---- interfaces --------------------------------------------------------- */

/* Returns the kernel's index of an interface that is up and no VRF, else 0. "any" is always
 * there. */
static uint32_t usable_index(const char *interface)
{
    char members[VRF_MEMBERS_SIZE];
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
    return up && !vrf_is(interface, members) ? if_nametoindex(interface) : 0;
}

bool pair_has_other_interfaces(const struct pair *pair, const struct config *config)
{
    for (size_t i = 0; i < config->interface_count; i++) {
        const char *name = config->interfaces[i];
        uint32_t index = usable_index(name);

        if (index != 0 && index != pair->interfaces[i])
            return true;
        if (pair->interfaces[i] != 0 && strcmp(name, "any") != 0 && if_nametoindex(name) == 0)
            return true;
    }
    return false;
}

/* Whether an interface that is captured is gone, down, or another by now. */
static bool lost_interface(const struct pair *pair, const struct config *config)
{
    for (size_t i = 0; i < config->interface_count; i++)
        if (pair->interfaces[i] != 0 && usable_index(config->interfaces[i]) != pair->interfaces[i])
            return true;
    return false;
}

/* A sniffer's word that a capture has ended is not enough: a hostile one would be started
 * again at once, as often as it likes. */
enum pair_end pair_note_end(struct pair *pair, const struct config *config, pid_t child,
                            int status)
{
    static struct log_limit said; /* accidents need none: a delay comes before each start */

    if (child == pair->helper) {
        log_end("the helper", child, status);
        bury_helper(pair);
        return PAIR_END_ACCIDENT;
    }
    if (child == pair->witness) {
        log_end("the witness", child, status);
        pair->witness = 0;
        close_if_open(&pair->questions);
        return PAIR_END_ACCIDENT;
    }
    if (child != pair->sniffer)
        return PAIR_END_OF_ANOTHER;
    pair->sniffer = 0;
    close_if_open(&pair->lifeline);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SNIFFER_EXIT_CAPTURE_ENDED &&
        lost_interface(pair, config)) {
        log_info_limited(&said, LINES_A_MINUTE, "a capture has ended: its interface is gone");
        return PAIR_END_INTERFACE;
    }
    log_end("the sniffer", child, status);
    return PAIR_END_ACCIDENT;
}

/* ---- starting programs -------------------------------------------------- */

enum { FIRST_FD = 3, INHERITED_MAX = 8 };
_Static_assert((int)SNIFFER_FD_SUPERVISOR == (int)FIRST_FD &&
                   (int)HELPER_FD_SUPERVISOR == (int)FIRST_FD &&
                   (int)WITNESS_FD_SUPERVISOR == (int)FIRST_FD,
               "what they inherit is in this order");

/* Starts a program whose descriptors 3, 4 and so on are `descriptors`. As it is executed, its
 * memory is laid out anew, with a canary of its own, and holds nothing of ours. 0 with the reason
 * in the log. */
static pid_t spawn(const char *path, const int *descriptors, int count)
{
    char *const argv[] = {strdupa(strrchr(path, '/') + 1), NULL};
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t child = 0;
    static struct log_limit said;
    int error;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (int i = 0; i < count; i++)
        posix_spawn_file_actions_adddup2(&actions, descriptors[i], FIRST_FD + i);
    posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_FD + count);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    error = posix_spawn(&child, path, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0)
        return child;
    log_warnx_limited(&said, LINES_A_MINUTE, "cannot start %s: %s", path, strerror(error));
    return 0;
}

/* Returns a copy of `fd` with a high number, so that putting copies at 3 to 10 overwrites none. */
static int high_copy(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_HIGH);
}

pid_t pair_start_program(const char *path, int *ours, const int *descriptors, int count)
{
    static const struct timeval patience = {.tv_sec = WAIT_MS / 1000};
    int copies[INHERITED_MAX], ends[2];
    bool all = true;
    pid_t child = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        log_warn("cannot make a socket pair");
        return 0;
    }
    /* A program that does not read what it is told does not hold us up for good. */
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    copies[0] = high_copy(ends[1]);
    close(ends[1]);
    for (int i = 0; i < count; i++)
        copies[i + 1] = high_copy(descriptors[i]);
    for (int i = 0; i <= count; i++)
        all = all && copies[i] >= 0;
    if (all)
        child = spawn(path, copies, count + 1);
    else
        log_warn("cannot prepare the descriptors of %s", path);
    for (int i = 0; i <= count; i++)
        close_if_open(&copies[i]);
    *ours = ends[0];
    return child;
}

/* ---- the sniffer -------------------------------------------------------- */

/* Chooses the interfaces that are there, notes which in *pair, and says which are not. */
static void choose_interfaces(struct pair *pair, struct sniffer_setup *setup,
                              const struct config *config)
{
    static struct log_limit said;
    char members[VRF_MEMBERS_SIZE];

    for (size_t i = 0; i < config->interface_count; i++) {
        const char *name = config->interfaces[i];

        pair->interfaces[i] = usable_index(name);
        if (pair->interfaces[i] != 0)
            memcpy(setup->interfaces[setup->interface_count++], name, sizeof *setup->interfaces);
        else if (!vrf_is(name, members))
            log_warnx_limited(&said, LINES_A_MINUTE,
                              "interface %s is not there or is down: waiting for it", name);
    }
}

static void fill_sniffer_setup(struct sniffer_setup *setup, const struct config *config,
                               const struct pair_options *options)
{
    memset(setup, 0, sizeof *setup);
    setup->foreground = options->foreground;
    setup->debug = options->debug;
    setup->trace = options->trace;
    setup->skew_checked = config->skew_checked;
    setup->max_skew = config->max_skew;
    setup->transports = config->transports;
    setup->uid = config->uid;
    setup->gid = config->gid;
    setup->profile_count = (uint32_t)config->profile_count;
    setup->port_count = config->port_count;
    memcpy(setup->ports, config->ports, sizeof setup->ports);
    snprintf(setup->empty, sizeof setup->empty, "%s/empty", config->run_directory);
    memcpy(setup->server_public, config->server_public, KEY_SIZE);
}

static bool send_sniffer_setup(int sniffer, const struct sniffer_setup *setup,
                               const struct config *config)
{
    struct sniffer_profile profile = {0};
    bool sent = send(sniffer, setup, sizeof *setup, MSG_NOSIGNAL) == sizeof *setup;

    for (size_t i = 0; sent && i < config->profile_count; i++) {
        const struct profile *from = &config->profiles[i];

        memcpy(profile.key_id, from->key_id, KEY_ID_SIZE);
        memcpy(profile.envelope_key, from->envelope_key, KEY_SIZE);
        profile.signer = from->policy->signer;
        profile.port = from->port;
        sent = send(sniffer, &profile, sizeof profile, MSG_NOSIGNAL) == sizeof profile;
    }
    sodium_memzero(&profile, sizeof profile);
    return sent;
}

/* Waits until the sniffer has opened its captures. False when it ended, or said nothing, before
 * that. */
static bool await_captures(int lifeline, struct sniffer_ready *ready)
{
    struct pollfd fd = {.fd = lifeline, .events = POLLIN};
    int n;

    do
        n = poll(&fd, 1, WAIT_MS);
    while (n < 0 && errno == EINTR);
    return n == 1 && read(lifeline, ready, sizeof *ready) == sizeof *ready;
}

/* Notes which interfaces the sniffer cannot capture on. False if that is none of them left:
 * interfaces that are not there yet may still come. */
static bool note_unsupported(struct pair *pair, const struct sniffer_ready *ready,
                             const struct config *config)
{
    unsigned told = 0, unsupported = 0;

    for (size_t i = 0; i < config->interface_count; i++) {
        pair->unsupported[i] = pair->interfaces[i] != 0 && ready->unsupported >> told & 1;
        told += pair->interfaces[i] != 0;
        unsupported += pair->unsupported[i];
    }
    if (unsupported < config->interface_count)
        return true;
    log_warnx("no interface that Interface names can be watched: name others");
    return false;
}

static enum pair_result start_sniffer(struct pair *pair, const struct config *config, int counters,
                                      int helper, const struct pair_options *options)
{
    const int inherited[] = {helper, counters};
    struct sniffer_setup setup;
    struct sniffer_ready ready;

    fill_sniffer_setup(&setup, config, options);
    choose_interfaces(pair, &setup, config);
    pair->sniffer = pair_start_program(PORTSMITH_SNIFFER, &pair->lifeline, inherited, 2);
    if (pair->sniffer == 0 || !send_sniffer_setup(pair->lifeline, &setup, config) ||
        !await_captures(pair->lifeline, &ready))
        return PAIR_FAILED;
    return note_unsupported(pair, &ready, config) ? PAIR_STARTED : PAIR_UNUSABLE;
}

/* ---- the helper --------------------------------------------------------- */

/* Opens a directory whose files the helper may rely on. -1 with the reason in the log. */
static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat s;

    if (fd < 0 && errno == ENOTDIR) /* of a symbolic link, too: open(2) */
        log_warnx("%s is no directory itself: put one in its place, or, if it is a symbolic link, "
                  "name the directory that it leads to in portsmith.conf", path);
    else if (fd < 0 || fstat(fd, &s) != 0)
        log_warn("cannot open %s", path);
    else if (s.st_uid != 0 || (s.st_mode & 022))
        log_warnx("%s must belong to root and be writable by nobody else: run: chown root %s; "
                  "chmod go-w %s", path, path, path);
    else
        return fd;
    close_if_open(&fd);
    return -1;
}

/* Opens the state directory, for root alone: whoever can open it can lock it, and so keep the
 * helper out. -1 with the reason in the log. */
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

/* Opens a socket of netfilter, that hears the kernel alone. */
static int open_netfilter(void)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&kernel, sizeof kernel) == 0)
        return fd;
    close_if_open(&fd);
    return open_nothing(); /* a host without it may have iptables-legacy */
}

static int table = -1;

/* Returns the socket that owns the table of nf_tables. It is the same one as long as this process
 * lives, so that the table is owned while no helper serves, too. */
static int table_socket(void)
{
    if (table < 0)
        table = open_netfilter();
    return table;
}

/* Starts a helper with our end of the socket for its orders in *orders. `tables` is a socket of
 * open_netfilter. */
static pid_t start_helper(int *orders, int sniffer, int state, int run, int news, int witness,
                          int plan, int tables)
{
    const int inherited[] = {sniffer, state, run, news, witness, plan, tables};

    return pair_start_program(PORTSMITH_PREPARE, orders, inherited, 7);
}

/* Makes what the plan (privsep/plan.h) is written into. -1 with the reason in the log. */
static int make_plan(void)
{
    int fd = memfile_create("portsmith-plan");

    if (fd >= 0 && fchmod(fd, 0600) == 0)
        return fd;
    log_warn("cannot make the plan");
    close_if_open(&fd);
    return -1;
}

/* Whether nobody can change the plan any more. */
static bool is_sealed(int plan)
{
    if ((fcntl(plan, F_GET_SEALS) & PLAN_SEALS) == PLAN_SEALS)
        return true;
    log_warnx("the helper is ready, but its plan is not sealed");
    return false;
}

static void fill_setup(struct helper_setup *setup, enum helper_mode mode,
                       const struct config *config, const struct pair_options *options)
{
    memset(setup, 0, sizeof *setup);
    setup->mode = mode;
    setup->foreground = options->foreground;
    setup->debug = options->debug;
    setup->trace = options->trace;
    setup->trial_end = options->trial_end;
    if (!config)
        return;
    setup->backend = config->backend_in_use;
    setup->grant_store = config->grant_store;
    setup->shut_with_reset = config->shut_with_reset;
    setup->forward = config->forward;
    setup->accept_mark = config->accept_mark;
    setup->has_synproxy = options->untracked && options->untracked->has_synproxy;
    for (size_t i = 0; i < config->profile_count; i++)
        setup->sends_on |= config->profiles[i].policy->destination_count > 0;
    setup->skew_checked = config->skew_checked;
    setup->max_skew = config->max_skew;
    setup->max_grants = config->max_grants;
    setup->shut_count = config->shut_count;
    memcpy(setup->shut, config->shut, sizeof setup->shut);
    memcpy(setup->server_public, config->server_public, KEY_SIZE);
    if (config->group[0] != '\0')
        member_id(setup->member, config->member);
    setup->profile_count = (uint32_t)config->profile_count;
}

/* Sends a profile as it was read, but for which of its services this host's own rules keep
 * untracked. */
static bool send_profile(int orders, const struct helper_profile *policy,
                         const struct untracked *untracked)
{
    struct helper_profile message;

    memset(&message, 0, sizeof message);
    memcpy(&message, policy, helper_profile_size(policy));
    for (unsigned i = 0; untracked && i < policy->service_count; i++)
        if (tracking_is_untracked(untracked, &policy->services[i]))
            message.untracked |= (uint16_t)(1u << i);
    return send(orders, &message, sizeof message, MSG_NOSIGNAL) == sizeof message;
}

static bool send_setup(int orders, const struct helper_setup *setup, const struct config *config,
                       const struct pair_options *options)
{
    if (send(orders, setup, sizeof *setup, MSG_NOSIGNAL) != sizeof *setup)
        return false;
    for (size_t i = 0; i < setup->profile_count; i++)
        if (!send_profile(orders, config->profiles[i].policy, options->untracked))
            return false;
    return true;
}

/* Waits until the helper says that it is ready, and with which back end. False when it ends, or
 * time is up, before that. */
static bool await_ready(struct pair *pair, enum backend *backend)
{
    struct pollfd fd = {.fd = pair->orders, .events = POLLIN};
    static struct helper_report report;
    int n;

    do
        n = poll(&fd, 1, WAIT_MS);
    while (n < 0 && errno == EINTR);
    if (n != 1 || receive_report(pair, &report) != HELPER_REPORT)
        return false;
    *backend = report.backend;
    return true;
}

static enum pair_result result_of(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == HELPER_EXIT_OK)
        return PAIR_STARTED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == HELPER_EXIT_UNUSABLE)
        return PAIR_UNUSABLE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == HELPER_EXIT_MISSING)
        return PAIR_MISSING;
    return PAIR_FAILED;
}

/* Writes the path of the helper's part of the run directory. It can write to no other part. */
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

int pair_open_helper_directory(const struct config *config)
{
    char path[RUN_PATH_SIZE];

    return open_directory(helper_directory(path, config));
}

static enum pair_result start_serving_helper(struct pair *pair, struct config *config,
                                             const struct pair_options *options, int sniffer,
                                             int witness, int plan)
{
    int state = open_state_directory(config->state_directory);
    int run = open_directory(config->run_directory);
    int grants = run < 0 ? -1 : pair_open_helper_directory(config);
    struct helper_setup setup;
    enum pair_result result;
    bool started;

    if (state >= 0 && grants >= 0 && plan >= 0)
        pair->helper = start_helper(&pair->orders, sniffer, state, grants, pair->news, witness,
                                    plan, table_socket());
    close_if_open(&state);
    close_if_open(&run);
    close_if_open(&grants);
    fill_setup(&setup, HELPER_RUN, config, options);
    started = pair->helper != 0 && send_setup(pair->orders, &setup, config, options) &&
              await_ready(pair, &config->backend_in_use) && is_sealed(plan);
    if (started)
        return PAIR_STARTED;
    if (pair->helper == 0)
        return PAIR_FAILED;
    close_if_open(&pair->orders);
    result = result_of(await_end(pair->helper, "the helper", WAIT_MS));
    pair->helper = 0;
    return result == PAIR_STARTED ? PAIR_FAILED : result;
}

/* Takes what a helper that only tried has said. */
static void take_reason(int orders, struct error *why)
{
    ssize_t n = recv(orders, why->text, sizeof why->text - 1, MSG_DONTWAIT);

    if (n <= 0) {
        error_set(why, "what this host can do was not found out: the log says why");
        return;
    }
    why->text[n] = '\0';
    printable(why->text);
}

/* Runs a helper that does one thing and exits. *why is what it says if it only tries. */
static enum pair_result run_helper_once(const struct helper_setup *setup,
                                        const struct config *config,
                                        const struct pair_options *options, int tables,
                                        struct error *why)
{
    int nothing = open_nothing(), orders = -1;
    pid_t helper = nothing < 0 ? 0 : start_helper(&orders, nothing, nothing, nothing, nothing,
                                                   nothing, nothing, tables);
    enum pair_result result = PAIR_FAILED;

    if (helper != 0 && send_setup(orders, setup, config, options))
        result = result_of(await_end(helper, "the helper", WAIT_MS));
    take_reason(orders, why);
    close_if_open(&orders);
    close_if_open(&nothing);
    return result;
}

/* Removes the rules of the back end that is not in use, now that those of the one in use shut the
 * ports. */
static void release_other_backend(const struct config *config, const struct pair_options *options)
{
    struct helper_setup setup;
    struct error unused;

    fill_setup(&setup, HELPER_RELEASE_OTHER, NULL, options);
    setup.backend = config->backend_in_use;
    run_helper_once(&setup, NULL, options, table_socket(), &unused);
}

/* ---- the pair ----------------------------------------------------------- */

/* Starts the helper of a new pair, and then its witness. */
static enum pair_result start_helper_and_witness(struct pair *pair, struct config *config,
                                                 const struct pair_options *options, int sniffer)
{
    enum pair_result result = PAIR_FAILED;
    struct witnessing new;
    int plan = make_plan();

    if (witnessing_begin(&new) && plan >= 0)
        result = start_serving_helper(pair, config, options, sniffer, new.helper, plan);
    close_if_open(&new.helper); /* so that the witness sees the end of the helper's */
    if (result == PAIR_STARTED && !witnessing_start(&new, pair, plan, config, options))
        result = PAIR_FAILED;
    witnessing_end(&new);
    close_if_open(&plan);
    return result;
}

enum pair_result pair_replace(struct pair *pair, struct config *config, int counters,
                              const struct pair_options *options)
{
    struct pair new;
    enum pair_result result;
    int between[2];

    if (!make_directories(config))
        return PAIR_FAILED;
    close_if_open(&pair->uses);
    pair->uses = witnessing_open_uses(config, pair->news >= 0);
    if (pair->uses < 0)
        return PAIR_FAILED;
    /* The first one has this process's number, by which nft(8) names who owns the table. */
    table_socket();
    /* Only the helper listens for news, and only the witness reads. What the kernel tells between
     * two witnesses waits; what came before the first is told nowhere. */
    if (pair->news < 0)
        pair->news = open_netfilter();
    pair_init(&new);
    new.news = pair->news;
    new.uses = pair->uses;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, between) != 0) {
        log_warn("cannot make a socket pair");
        return PAIR_FAILED;
    }
    result = start_sniffer(&new, config, counters, between[0], options);
    if (result != PAIR_STARTED) {
        log_warnx("the sniffer did not start");
        end_sniffer(&new);
    } else {
        pair_end(pair, false);
        memcpy(new.verdicts_before, pair->verdicts_before, sizeof new.verdicts_before);
        new.live = pair->live;
        result = start_helper_and_witness(&new, config, options, between[1]);
        if (result == PAIR_STARTED)
            release_other_backend(config, options);
        else
            pair_end(&new, false);
        *pair = new;
    }
    close(between[0]);
    close(between[1]);
    return result;
}

enum pair_result pair_probe(const struct config *config, const struct pair_options *options,
                            struct error *why)
{
    /* Not the owning one: a helper that serves would lose answers to whoever else reads there, and
     * without ours the table would be nobody's between two helpers. */
    int tables = open_netfilter();
    struct helper_setup setup;
    enum pair_result result;

    fill_setup(&setup, HELPER_PROBE, config, options);
    result = run_helper_once(&setup, config, options, tables, why);
    close_if_open(&tables);
    return result;
}

bool pair_release(enum backend in_use, const struct pair_options *options)
{
    struct helper_setup setup;
    struct error unused;

    fill_setup(&setup, HELPER_RELEASE, NULL, options);
    setup.backend = in_use;
    return run_helper_once(&setup, NULL, options, table_socket(), &unused) == PAIR_STARTED;
}
