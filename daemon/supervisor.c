#include "supervisor.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "counters.h"
#include "file.h"
#include "log.h"
#include "metrics.h"
#include "neighbours.h"
#include "notify.h"
#include "pair.h"
#include "pidfile.h"
#include "reply.h"
#include "sandbox.h"

enum {
    EX_CONFIG_STATUS = 78,
    BACKOFF_MAX = 60,    /* seconds */
    STABLE_AFTER = 60,   /* seconds without an accident: start again at no delay */
    SETTLE_MS = 100,     /* interfaces change in bursts */
};

struct supervisor {
    const struct supervisor_options *options;
    struct pair_logging logging;
    struct config *config;
    struct counters *counters;
    struct pair pair;
    struct control control;
    struct control_client *releases; /* who asked for all to be released, or NULL */
    int signals, links; /* descriptors: signalfd, rtnetlink */
    int pidfile;        /* holds the lock that keeps a second daemon out */
    unsigned accidents; /* in a row */
    int64_t begun_at;   /* CLOCK_BOOTTIME nanoseconds */
    int64_t started_at; /* of the pair, CLOCK_BOOTTIME nanoseconds */
    int64_t restart_at; /* 0: no restart is planned */
    int64_t look_at;    /* at the interfaces; 0: not planned */
    int64_t alive_at;   /* tell the service manager that we are; 0: it does not ask */
    int64_t metrics_at; /* gather them; 0: nobody wants them */
    uint32_t metrics_asked; /* serial of the order for what they lack; 0: none waits */
    uint32_t client_asked;  /* the same, for the client's request */
    bool metrics_failed;
    bool stopping;
    bool handing_over; /* stopping, and what is granted is the next start's */
};

static int64_t milliseconds_from_now(int64_t milliseconds)
{
    return clock_boot_ns() + milliseconds * NSEC_PER_MSEC;
}

/* ---- the pair ----------------------------------------------------------- */

static void plan_restart(struct supervisor *s)
{
    unsigned delay = 0;

    if (s->restart_at != 0)
        return;
    if (clock_boot_ns() - s->started_at > (int64_t)STABLE_AFTER * NSEC_PER_SEC)
        s->accidents = 0;
    if (s->accidents > 0)
        delay = s->accidents > 6 ? BACKOFF_MAX : 1u << (s->accidents - 1);
    s->accidents++;
    s->restart_at = milliseconds_from_now((int64_t)delay * 1000);
    if (delay > 0)
        log_warnx("starting again in %u s", delay);
    notify_status("starting again: see the log; shut ports stay shut");
}

static void warn(void *unused, const char *what, const char *advice)
{
    (void)unused;
    log_warnx("%s: %s", what, advice);
}

static enum pair_result start_pair(struct supervisor *s)
{
    enum pair_result result;
    char status[128];

    s->restart_at = 0;
    result = pair_replace(&s->pair, s->config, s->counters, &s->logging);
    s->started_at = clock_boot_ns();
    if (result != PAIR_STARTED)
        return result;
    control_ask_again(&s->control);
    neighbours_find(s->config, warn, NULL);
    snprintf(status, sizeof status, "ready: %zu profile%s, %u shut port%s",
             s->config->profile_count, s->config->profile_count == 1 ? "" : "s",
             s->config->close_count, s->config->close_count == 1 ? "" : "s");
    log_info("%s", status);
    notify_status(status);
    return result;
}

/* Says once that it does not work, and no more until it has. */
static void write_metrics(struct supervisor *s)
{
    struct error why;

    s->metrics_asked = 0;
    if (!s->config->metrics_file[0])
        return;
    if (metrics_write(s->config->metrics_file, s->counters, &s->pair, &why)) {
        s->metrics_failed = false;
    } else if (!s->metrics_failed) {
        log_warnx("no metrics are written: %s", why.text);
        s->metrics_failed = true;
    }
}

/* They are written when the helper has told what it knows, of grants only their
 * number. One that did not the last time is not waited for. */
static void gather_metrics(struct supervisor *s)
{
    struct helper_order order = {.command = HELPER_LIST, .id = UINT32_MAX};

    s->metrics_at = 0;
    if (!s->config->metrics_file[0])
        return;
    s->metrics_at = milliseconds_from_now((int64_t)METRICS_PERIOD * 1000);
    if (s->metrics_asked == 0 && pair_order(&s->pair, &order))
        s->metrics_asked = order.serial;
    else
        write_metrics(s);
}

static void restart_pair(struct supervisor *s)
{
    if (start_pair(s) != PAIR_STARTED)
        plan_restart(s);
}

/* ---- events ------------------------------------------------------------- */

static void reap_children(struct supervisor *s)
{
    int status;
    pid_t child;

    while ((child = pair_reap(-1, &status)) > 0)
        if (!pair_note_end(&s->pair, child, status) || s->stopping)
            continue;
        else if (pair_lost_capture(status))
            s->restart_at = milliseconds_from_now(SETTLE_MS);
        else
            plan_restart(s);
}

/* The locks that keep a second daemon out are in these. */
static bool moves_directories(const struct config *old, const struct config *new)
{
    return strcmp(old->run_directory, new->run_directory) != 0 ||
           strcmp(old->state_directory, new->state_directory) != 0;
}

/* A broken file elsewhere must not keep a revoked client in. */
static void forget_removed_profiles(struct supervisor *s)
{
    size_t removed = config_forget_removed_profiles(s->config);

    if (removed == 0)
        return;
    log_warnx("without %zu profile%s whose file is gone", removed, removed == 1 ? "" : "s");
    restart_pair(s);
}

/* The configuration in use stays, and `new`, which may be NULL, goes. */
static void refuse_reload(struct supervisor *s, struct config *new)
{
    config_free(new);
    forget_removed_profiles(s);
}

/* The new configuration's pair instead of the old one's. */
static bool use(struct supervisor *s, struct config *new, struct error *why)
{
    struct config *old = s->config;

    s->config = new;
    config_hand_down(old, false); /* a revoked client's key is nothing for the new sniffer */
    if (start_pair(s) == PAIR_STARTED) {
        config_free(old);
        log_info("the configuration was reloaded");
        return true;
    }
    config_hand_down(old, true);
    s->config = old;
    config_free(new);
    config_forget_removed_profiles(old);
    restart_pair(s);
    return error_set(why, "the new configuration cannot be used, as the log says: going back to "
                          "the one before");
}

/* False with the reason; the configuration in use then stays. */
static bool try_reload(struct supervisor *s, struct error *why)
{
    struct config *new = config_load_again(s->options->config_path, s->config, why);

    if (!new) {
        refuse_reload(s, NULL);
        return false;
    }
    if (moves_directories(s->config, new)) {
        refuse_reload(s, new);
        return error_set(why, "RunDirectory and StateDirectory change by a restart alone: the "
                              "configuration in use stays");
    }
    if (pair_probe(new, &s->logging) != PAIR_STARTED) {
        refuse_reload(s, new);
        return error_set(why, "this host cannot do what the new configuration asks, as the log "
                              "says: the one in use stays");
    }
    return use(s, new, why);
}

static bool reload(struct supervisor *s, struct error *why)
{
    bool done;

    notify_reloading();
    done = try_reload(s, why);
    if (!done) {
        log_warnx("%s", why->text);
        log_warnx("the configuration was not reloaded: the one in use stays");
    }
    gather_metrics(s);
    notify_ready();
    return done;
}

/* ---- the control socket ------------------------------------------------- */

static uint32_t seconds_since(int64_t then)
{
    return (uint32_t)((clock_boot_ns() - then) / NSEC_PER_SEC);
}

/* With what the helper last said, where it says anything. */
static void send_status(struct supervisor *s, struct control_client *client,
                        const struct helper_answer *answer)
{
    static struct control_reply reply;

    reply_status(&reply, s->config, &s->pair, s->counters, answer);
    reply.status.uptime = seconds_since(s->begun_at);
    reply.status.pair_uptime = seconds_since(s->started_at);
    control_reply(client, &reply);
}

static void send_result(struct control_client *client, enum control_result result,
                        const char *text)
{
    static struct control_reply reply;

    reply_result(&reply, client->request.verb, result, text);
    control_reply(client, &reply);
}

static void ask_helper(struct supervisor *s, struct control_client *client)
{
    struct helper_order order;
    struct error why;

    if (!reply_make_order(&order, &client->request, s->config, &why)) {
        send_result(client, CONTROL_FAILED, why.text);
        return;
    }
    client->state = CONTROL_ASKED;
    if (pair_order(&s->pair, &order)) {
        s->client_asked = order.serial;
        return;
    }
    if (client->request.verb == CONTROL_STATUS)
        send_status(s, client, NULL);
    else
        send_result(client, CONTROL_RESTARTING, "");
}

static void release(struct supervisor *s, struct control_client *client)
{
    client->state = CONTROL_ASKED;
    log_info("stopping: portsmithctl asks for a release");
    s->releases = client;
    s->stopping = true;
}

static void serve_client(struct supervisor *s, struct control_client *client)
{
    uint32_t verb = client->request.verb;
    struct error why;

    if (!client->is_root && (verb == CONTROL_RELOAD || verb == CONTROL_RELEASE))
        send_result(client, CONTROL_FORBIDDEN, "");
    else if (verb == CONTROL_RELEASE)
        release(s, client);
    else if (verb != CONTROL_RELOAD)
        ask_helper(s, client);
    else if (reload(s, &why))
        send_result(client, CONTROL_DONE, "");
    else
        send_result(client, CONTROL_FAILED, why.text);
}

/* The helper is asked for one at a time. */
static void handle_control(struct supervisor *s)
{
    struct control_client *client;

    control_serve(&s->control);
    while (!s->stopping && !control_asked(&s->control) && (client = control_next(&s->control)))
        serve_client(s, client);
}

static void take_answer(struct supervisor *s, const struct helper_answer *answer)
{
    static struct control_reply reply;
    struct control_client *client = control_asked(&s->control);

    if (s->metrics_asked != 0 && answer->serial == s->metrics_asked)
        write_metrics(s);
    if (!client || answer->serial != s->client_asked)
        return;
    if (client->request.verb == CONTROL_STATUS) {
        send_status(s, client, answer);
        return;
    }
    reply_answer(&reply, &client->request, s->config, answer);
    control_reply(client, &reply);
}

static void handle_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;
    struct error why;

    if (read(s->signals, &info, sizeof info) != sizeof info)
        return;
    switch (info.ssi_signo) {
    case SIGCHLD:
        reap_children(s);
        break;
    case SIGHUP:
        reload(s, &why);
        break;
    case SIGUSR1:
        counters_log(s->counters);
        break;
    default:
        s->handing_over = info.ssi_signo == SIGQUIT;
        log_info("stopping on signal %u", info.ssi_signo);
        s->stopping = true;
    }
}

/* Any message means "something about interfaces changed"; none is read. */
static void handle_links(struct supervisor *s)
{
    char discarded[16384];

    while (recv(s->links, discarded, sizeof discarded, MSG_DONTWAIT) > 0 || errno == EINTR ||
           errno == ENOBUFS)
        errno = 0;
    if (s->look_at == 0)
        s->look_at = milliseconds_from_now(SETTLE_MS);
}

static void handle_helper(struct supervisor *s)
{
    static struct helper_answer answer;
    uint32_t event = pair_read_event(&s->pair, &answer);

    if (event == HELPER_SNIFFER_BROKEN)
        plan_restart(s);
    else if (event == HELPER_ANSWER)
        take_answer(s, &answer);
}

static void plan_sign_of_life(struct supervisor *s)
{
    if (notify_alive_every_ns() > 0)
        s->alive_at = clock_boot_ns() + notify_alive_every_ns();
}

static void handle_time(struct supervisor *s)
{
    int64_t now = clock_boot_ns();

    if (s->alive_at != 0 && now >= s->alive_at) {
        notify_alive();
        plan_sign_of_life(s);
    }
    if (s->look_at != 0 && now >= s->look_at) {
        s->look_at = 0;
        if (s->restart_at == 0 && pair_has_other_interfaces(&s->pair, s->config)) {
            log_info("an interface has come or gone: capturing on those that are there");
            restart_pair(s);
        }
    }
    if (s->restart_at != 0 && now >= s->restart_at)
        restart_pair(s);
    if (s->metrics_at != 0 && now >= s->metrics_at)
        gather_metrics(s);
}

static int time_until_next(const struct supervisor *s)
{
    const int64_t planned[] = {s->restart_at, s->look_at, s->alive_at,
                               s->metrics_at, control_next_end(&s->control)};
    int64_t next = INT64_MAX, left;

    for (size_t i = 0; i < sizeof planned / sizeof *planned; i++)
        if (planned[i] != 0 && planned[i] < next)
            next = planned[i];
    if (next == INT64_MAX)
        return -1;
    left = (next - clock_boot_ns()) / NSEC_PER_MSEC + 1;
    return left < 0 ? 0 : (int)left;
}

static void serve(struct supervisor *s)
{
    enum { SIGNALS, LINKS, HELPER, CONTROL };
    struct pollfd fds[CONTROL + CONTROL_FDS];

    while (!s->stopping) {
        fds[SIGNALS] = (struct pollfd){.fd = s->signals, .events = POLLIN};
        fds[LINKS] = (struct pollfd){.fd = s->links, .events = POLLIN};
        fds[HELPER] = (struct pollfd){.fd = s->pair.control, .events = POLLIN};
        if (poll(fds, CONTROL + control_poll(&s->control, fds + CONTROL), time_until_next(s)) < 0 &&
            errno != EINTR)
            fatal("poll");
        if (fds[SIGNALS].revents)
            handle_signal(s);
        if (fds[LINKS].revents)
            handle_links(s);
        if (fds[HELPER].revents && s->pair.control == fds[HELPER].fd)
            handle_helper(s);
        if (!s->stopping)
            handle_time(s);
        if (!s->stopping)
            handle_control(s);
    }
}

/* ---- start and stop ----------------------------------------------------- */

static int open_signals(void)
{
    sigset_t ours;

    sigemptyset(&ours);
    sigaddset(&ours, SIGCHLD);
    sigaddset(&ours, SIGHUP);
    sigaddset(&ours, SIGUSR1);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGQUIT);
    if (sigprocmask(SIG_BLOCK, &ours, NULL) != 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_links(void)
{
    struct sockaddr_nl link_events = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&link_events, sizeof link_events) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void tell_ready(const struct supervisor_options *options)
{
    if (options->ready >= 0 && write(options->ready, "", 1) != 1)
        log_warn("cannot tell the starting process that we are ready");
    notify_ready();
}

static void finish_release(struct supervisor *s)
{
    if (pair_release(&s->logging))
        send_result(s->releases, CONTROL_DONE, "");
    else
        send_result(s->releases, CONTROL_FAILED, "rules may remain, as the log says");
}

static int stop(struct supervisor *s)
{
    notify_stopping();
    if (s->pair.helper == 0 && !s->handing_over)
        start_pair(s); /* between two: somebody has to remove the grants */
    pair_end(&s->pair, !s->handing_over);
    write_metrics(s);
    counters_log(s->counters);
    config_free(s->config);
    if (s->releases)
        finish_release(s);
    control_close(&s->control);
    pidfile_end(s->pidfile);
    if (s->handing_over)
        log_info("stopped; live grants and shut ports stay for the next start");
    else
        log_info(s->releases ? "stopped; nothing is shut any more"
                             : "stopped; shut ports stay shut until portsmithctl release");
    return EXIT_SUCCESS;
}

int supervisor_run(const struct supervisor_options *options, struct config *config)
{
    struct supervisor s = {
        .options = options,
        .logging = {.foreground = options->foreground && !options->in_journal,
                    .debug = options->debug,
                    .trace = options->trace},
        .config = config,
        .counters = counters_create(),
        .signals = open_signals(),
        .links = open_links(),
        .begun_at = clock_boot_ns(),
        .control.listener = -1,
    };
    struct error why;
    enum pair_result result;

    config_lock(config);
    pair_init(&s.pair);
    if (!s.counters || s.signals < 0 || s.links < 0)
        fatal("cannot start");
    if (!sandbox_enter_as_supervisor(&why))
        fatalx("%s", why.text);
    if (!file_make_directory(config->run_directory, 0755, &why))
        fatalx("%s", why.text);
    s.pidfile = pidfile_create(config->run_directory, &why);
    if (s.pidfile < 0)
        fatalx("%s", why.text);
    result = start_pair(&s);
    if (result != PAIR_STARTED) {
        log_warnx("portsmithd does not start; ports that it shut before stay shut");
        pidfile_end(s.pidfile);
        return result == PAIR_UNUSABLE ? EX_CONFIG_STATUS : EXIT_FAILURE;
    }
    if (!control_open(&s.control, config, &why))
        log_warnx("portsmithctl will not work: %s", why.text);
    tell_ready(options);
    plan_sign_of_life(&s);
    gather_metrics(&s);
    serve(&s);
    return stop(&s);
}
