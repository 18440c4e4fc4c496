#include "daemon/supervisor/supervisor.h"

#include <errno.h>
#include <inttypes.h>
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

#include "common/clock.h"
#include "common/file.h"
#include "common/libc.h"
#include "common/log.h"
#include "common/text/timespan.h"
#include "daemon/config/pidfile.h"
#include "daemon/config/rosterfile.h"
#include "daemon/config/trial.h"
#include "daemon/host/firewalls.h"
#include "daemon/host/tracking.h"
#include "daemon/host/savedtable.h"
#include "daemon/host/vrf.h"
#include "daemon/host/warning.h"
#include "daemon/sniffer/counters.h"
#include "daemon/supervisor/confine.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/cutting.h"
#include "daemon/supervisor/metrics.h"
#include "daemon/supervisor/notify.h"
#include "daemon/supervisor/pair.h"
#include "daemon/supervisor/reply.h"
#include "privsep/backend.h"
#include "privsep/grantfile.h"

enum {
    EX_CONFIG_STATUS = 78,
    BACKOFF_MAX = 60,    /* seconds */
    UNMENDED_MAX = 2,    /* seconds, while no helper runs that would put removed rules back */
    CLOCK_PAUSE = 1,     /* seconds between starts, however often the wall clock is set */
    STABLE_AFTER = 60,   /* seconds without an accident: the next start has no delay */
    SETTLE_MS = 100,     /* interfaces change in bursts */
    RULES_SETTLE_MS = 5000, /* other programs load their rules then, and to read them takes time */
    CUT_MS = 30000,      /* that a client waits for connections to be ended, at most */
};

struct supervisor {
    const struct supervisor_options *options;
    struct pair_options pair_options;
    struct config *config;
    struct counters_memory *memory; /* counters_file, shared with the sniffer */
    struct counters *counters;      /* in there, where it counts */
    int counters_file;
    struct pair pair;
    struct cutting cutting;
    struct control control;
    struct control_client *releases; /* who asked for all to be released, or NULL */
    int signals, links, addresses; /* descriptors: signalfd, rtnetlink */
    int clock;          /* readable when the wall clock was set */
    int pidfile;        /* holds the lock that keeps a second daemon out */
    unsigned accidents; /* in a row */
    unsigned delay;     /* before the last start, in seconds */
    int64_t quiet_at;    /* when rules are contested no more; 0: they are not */
    uint32_t rules_told; /* enum helper_rules, as the service manager was last told */
    int64_t begun_at;   /* CLOCK_BOOTTIME nanoseconds */
    int64_t started_at; /* of the pair, CLOCK_BOOTTIME nanoseconds */
    int64_t restart_at; /* 0: no restart is planned */
    enum pair_result trouble; /* why a restart is planned; PAIR_STARTED: none is */
    struct untracked untracked; /* what this host does not track, as the pair was told */
    int64_t look_at;    /* when to look at the interfaces; 0: not planned */
    int64_t untracked_at; /* when to look for what is not tracked; 0: not planned */
    int64_t clock_at;   /* when to start again as the wall clock was set; 0: not planned */
    int64_t alive_at;   /* when to give the service manager a sign of life; 0: it wants none */
    int64_t metrics_at; /* when to gather metrics; 0: nobody wants them */
    uint32_t metrics_asked; /* serial of the order that the metrics wait for; 0: none */
    uint32_t client_asked;  /* serial of the order that the client waits for */
    bool metrics_failed;
    bool stopping;
    bool handing_over; /* stopping, and what is granted is the next start's */
};

static int64_t milliseconds_from_now(int64_t milliseconds)
{
    return clock_boot_ns() + milliseconds * NSEC_PER_MSEC;
}

/* ---- the pair ----------------------------------------------------------- */

/* Says why the pair is started again. */
static void describe_trouble(const struct supervisor *s, char text[static CONTROL_TROUBLE_SIZE])
{
    static const char *const texts[] = {
        [PAIR_STARTED] = "",
        [PAIR_FAILED] = "see the log",
        [PAIR_UNUSABLE] = "this host cannot do any more what the configuration asks: see the log",
        [PAIR_MISSING] = "iptables is not installed any more, or may not be run: install it",
    };

    snprintf(text, CONTROL_TROUBLE_SIZE, "%s", texts[s->trouble]);
    if (s->trouble == PAIR_MISSING && s->config->backend_in_use != BACKEND_AUTO)
        snprintf(text, CONTROL_TROUBLE_SIZE,
                 "%s is not installed any more, or may not be run: install iptables",
                 backend_name(s->config->backend_in_use));
}

/* Returns the seconds until the next start: none the first time. Where this host cannot do what is
 * asked of it, it is of no use to try soon. */
static unsigned restart_delay(const struct supervisor *s, enum pair_result trouble)
{
    unsigned longest =
        s->pair.helper != 0 || trouble == PAIR_UNUSABLE || trouble == PAIR_MISSING
            ? BACKOFF_MAX : UNMENDED_MAX;
    unsigned delay = s->accidents > 7 ? BACKOFF_MAX : (1u << s->accidents) / 4;

    return delay < longest ? delay : longest;
}

static void plan_restart(struct supervisor *s, enum pair_result trouble)
{
    char why[CONTROL_TROUBLE_SIZE], status[CONTROL_TROUBLE_SIZE + 50];
    unsigned before = s->delay;
    int64_t at;

    s->trouble = trouble;
    if (s->restart_at == 0) { /* else this is the accident that the restart is planned for */
        if (clock_boot_ns() - s->started_at > (int64_t)STABLE_AFTER * NSEC_PER_SEC)
            s->accidents = 0;
        s->accidents++;
    }
    s->delay = restart_delay(s, trouble);
    at = milliseconds_from_now((int64_t)s->delay * 1000);
    if (s->restart_at != 0 && s->restart_at <= at)
        return;
    s->restart_at = at;
    /* A short delay is told of once: it may come every few seconds. */
    if (s->delay > UNMENDED_MAX || (s->delay > 0 && s->delay != before))
        log_warnx("starting again in %u s", s->delay);
    describe_trouble(s, why);
    snprintf(status, sizeof status, "shut ports stay shut; starting again: %s", why);
    notify_status(status);
}

enum { READY_SIZE = TRIAL_KEEP_SIZE + 228 };

static void describe_ready(const struct supervisor *s, char text[static READY_SIZE])
{
    const struct config *c = s->config;
    char keep[TRIAL_KEEP_SIZE], trial[TRIAL_KEEP_SIZE + 100] = "";

    if (s->options->trial_end != 0)
        snprintf(trial, sizeof trial, " on trial, for %u s; to keep it: %s",
                 trial_seconds_left(s->options->trial_end),
                 trial_keep(s->options->config_path, keep));
    snprintf(text, READY_SIZE, "ready: %zu profile%s, %u shut port%s%s", c->profile_count,
             c->profile_count == 1 ? "" : "s", c->shut_count, c->shut_count == 1 ? "" : "s",
             trial);
}

static const char *what_is_wrong(uint32_t rules)
{
    switch (rules) {
    case HELPER_RULES_IN_FORCE:
        return "";
    case HELPER_RULES_CONTESTED:
        return "another program keeps removing Portsmith's rules, see the log; ";
    case HELPER_RULES_MISSING:
        return "NOT IN FORCE: another program removed Portsmith's rules, see the log; ";
    default:
        return "NOT KNOWN to be in force, see the log; ";
    }
}

static void tell_how_it_goes(struct supervisor *s)
{
    char ready[READY_SIZE], status[READY_SIZE + 100];

    s->rules_told = s->pair.rules;
    describe_ready(s, ready);
    snprintf(status, sizeof status, "%s%s", what_is_wrong(s->pair.rules), ready);
    notify_status(status);
}

/* Says what is in the way of profiles: that of the roster nobody sees in their files. */
static void warn_of_roster(const struct config *c)
{
    char date[DATE_TEXT_SIZE];

    if (c->roster_trouble.text[0] != '\0')
        log_warnx("%s; the roster that was used last, Version %" PRIu64 ", stays in force",
                  c->roster_trouble.text, c->roster.version);
    if (c->roster.version != 0 && c->roster.not_after <= clock_wall_ns() / NSEC_PER_SEC)
        log_warnx("the roster was good until %s (NotAfter): the knocks of its profiles are refused",
                  date_format(c->roster.not_after, date));
    if (c->revoked_count > 0)
        log_warnx("the roster revokes %zu profile%s that %s here", c->revoked_count,
                  c->revoked_count == 1 ? "" : "s",
                  c->revoked_count == 1 ? "has a file" : "have files");
}

static enum pair_result start_pair(struct supervisor *s)
{
    enum pair_result result;
    char ready[READY_SIZE];
    struct error why;

    s->restart_at = s->untracked_at = 0;
    tracking_free_untracked(&s->untracked);
    /* What the host's rules say may change: it is no reason not to run. */
    if (!tracking_find(&s->untracked, s->config, warning_log, NULL, &why))
        log_warnx("%s", why.text);
    cutting_note_table(&s->cutting, s->config);
    result = pair_replace(&s->pair, s->config, s->counters_file, &s->pair_options);
    cutting_keep_dropped(&s->cutting, s->config);
    s->started_at = clock_boot_ns();
    if (result != PAIR_STARTED) {
        /* The pair of before may go on, and its witness wait for an answer. */
        if (s->pair.helper == 0 && !cutting_is_busy(&s->cutting))
            control_ask_again(&s->control); /* to be told that there is none */
        return result;
    }
    cutting_answer_to(&s->cutting, s->pair.questions);
    s->trouble = PAIR_STARTED;
    s->client_asked = 0;
    cutting_forget_order(&s->cutting);
    if (!cutting_is_busy(&s->cutting)) /* else the client waits for no helper any more */
        control_ask_again(&s->control);
    if (s->config->profile_count == 0 && s->config->shut_count > 0)
        log_warnx("there is no profile, so nobody can knock: add one with portsmith-profile add");
    warning_of_old_words(&s->config->notes, warning_log, NULL);
    warn_of_roster(s->config);
    firewalls_find(s->config, warning_log, NULL);
    savedtable_find(warning_log, NULL);
    vrf_find(s->config, warning_log, NULL);
    malloc_trim(0); /* what looking at this host took */
    describe_ready(s, ready);
    log_info("%s", ready);
    tell_how_it_goes(s);
    return result;
}

/* Writes the metrics. The log is told of a failure, and then of no other until it has worked. */
static void write_metrics(struct supervisor *s)
{
    struct error why;

    s->metrics_asked = 0;
    if (!s->config->metrics_file[0])
        return;
    if (metrics_write(s->config->metrics_file, s->counters, &s->pair, &why)) {
        s->metrics_failed = false;
    } else if (!s->metrics_failed) {
        log_warnx("no metrics are written: %s; if a unit or AppArmor confines portsmithd, its "
                  "directory has to be let through, as portsmith-log(7) says", why.text);
        s->metrics_failed = true;
    }
}

/* Has the helper report; the metrics are written then. If the helper has not reported since the
 * last time, they are written at once, and nothing is known of the rules. */
static void gather_metrics(struct supervisor *s)
{
    struct helper_order order = {.command = HELPER_TELL};

    s->metrics_at = 0;
    if (!s->config->metrics_file[0])
        return;
    s->metrics_at = milliseconds_from_now((int64_t)METRICS_PERIOD * 1000);
    if (s->metrics_asked != 0)
        s->pair.rules = HELPER_RULES_UNKNOWN;
    if (s->metrics_asked == 0 && pair_order(&s->pair, &order))
        s->metrics_asked = order.serial;
    else
        write_metrics(s);
}

static void restart_pair(struct supervisor *s)
{
    enum pair_result result = start_pair(s);

    if (result != PAIR_STARTED)
        plan_restart(s, result);
}

/* ---- events ------------------------------------------------------------- */

static void reap_children(struct supervisor *s)
{
    enum pair_end end;
    int status;
    pid_t child;

    while ((child = pair_reap(-1, &status)) > 0) {
        if (cutting_note_end(&s->cutting, child, status))
            continue;
        end = pair_note_end(&s->pair, s->config, child, status);
        if (s->stopping)
            continue;
        if (end == PAIR_END_INTERFACE)
            s->restart_at = milliseconds_from_now(SETTLE_MS);
        else if (end == PAIR_END_ACCIDENT)
            plan_restart(s, PAIR_FAILED);
    }
}

/* Goes on without the profiles whose files are gone, or whose keys the roster revokes: a broken
 * file elsewhere must not keep a revoked client in. */
static void forget_removed_profiles(struct supervisor *s)
{
    size_t removed = config_forget_removed_profiles(s->config);

    if (removed == 0)
        return;
    log_warnx("dropped %zu profile%s: the file%s removed%s", removed, removed == 1 ? "" : "s",
              removed == 1 ? " was" : "s were",
              s->config->roster_key_count > 0 ? ", or the roster revokes the key" : "");
    restart_pair(s);
}

/* Frees `new`, which may be NULL. The configuration in use stays. */
static void refuse_reload(struct supervisor *s, struct config *new)
{
    config_free(new);
    forget_removed_profiles(s);
}

/* Replaces the pair by one with the new configuration. False with the reason: then the pair runs
 * with the old configuration again. */
static bool use(struct supervisor *s, struct config *new, struct error *why)
{
    struct config *old = s->config;

    s->config = new;
    if (start_pair(s) == PAIR_STARTED) {
        config_free(old);
        log_info("the configuration was reloaded");
        return true;
    }
    s->config = old;
    config_free(new);
    config_forget_removed_profiles(old);
    restart_pair(s);
    return error_set(why, "the new configuration cannot be used, as the log says: going back to "
                          "the one before");
}

/* Reads the configuration again, and uses it. False with the reason: the configuration in use
 * stays. */
static bool try_reload(struct supervisor *s, struct error *why)
{
    struct config *new = config_load_again(s->options->config_path, s->config, why);

    if (!new) {
        refuse_reload(s, NULL);
        return false;
    }
    /* The locks that keep a second daemon out are in the two directories. */
    if (strcmp(s->config->run_directory, new->run_directory) != 0 ||
        strcmp(s->config->state_directory, new->state_directory) != 0) {
        refuse_reload(s, new);
        return error_set(why, "restart portsmithd to change RunDirectory or StateDirectory: the "
                              "configuration in use stays");
    }
    if (!tracking_check(new, NULL, NULL, why)) {
        refuse_reload(s, new);
        return false;
    }
    if (pair_probe(new, &s->pair_options, why) != PAIR_STARTED || !rosterfile_keep(new, why)) {
        refuse_reload(s, new);
        return false;
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

/* Sends the status. `report` is the helper's, or NULL while it makes none. */
static void send_status(struct supervisor *s, struct control_client *client,
                        const struct helper_report *report)
{
    static struct control_reply reply;

    reply_status(&reply, s->config, &s->pair, s->counters, report);
    describe_trouble(s, reply.status.trouble);
    reply.status.uptime = seconds_since(s->begun_at);
    reply.status.pair_uptime = seconds_since(s->started_at);
    reply.status.trial_left = trial_seconds_left(s->options->trial_end);
    control_reply(client, &reply);
}

static void send_result(struct control_client *client, enum control_result result,
                        const char *text)
{
    static struct control_reply reply;

    reply_result(&reply, client->request.verb, result, text);
    control_reply(client, &reply);
}

/* Sends the list of grants, once the helper has reported. */
static void send_list(struct supervisor *s, struct control_client *client)
{
    static struct control_reply reply;
    int directory = pair_open_helper_directory(s->config);
    struct granttable_view table;
    struct error why;

    if (!granttable_open(&table, directory, &why)) {
        send_result(client, CONTROL_FAILED, why.text);
    } else {
        reply_list(&reply, &client->request, s->config, &table, s->pair.uses);
        granttable_close(&table);
        control_reply(client, &reply);
    }
    close(directory);
}

/* Answers a client whose order no helper takes. */
static void refuse_order(struct supervisor *s, struct control_client *client)
{
    cutting_forget_order(&s->cutting);
    if (client->request.verb == CONTROL_STATUS)
        send_status(s, client, NULL);
    else
        send_result(client, CONTROL_RESTARTING, "");
}

/* Gives the helper the client's order. */
static void pass_on(struct supervisor *s, struct control_client *client,
                    struct helper_order *order)
{
    client->state = CONTROL_ASKED;
    if (order->command == HELPER_CLOSE)
        cutting_complete(&s->cutting, order, s->config);
    if (pair_order(&s->pair, order))
        s->client_asked = order->serial;
    else
        refuse_order(s, client);
}

static void ask_helper(struct supervisor *s, struct control_client *client)
{
    struct helper_order order;
    struct error why;

    if (reply_make_order(&order, &client->request, s->config, &why))
        pass_on(s, client, &order);
    else
        send_result(client, CONTROL_FAILED, why.text);
}

static void release(struct supervisor *s, struct control_client *client)
{
    client->state = CONTROL_ASKED;
    log_info("stopping: portsmithctl asks for a release");
    s->releases = client;
    s->stopping = true;
}

/* Has a pair run that does not know the profile, whatever else there is to say of the
 * configuration. False with the reason if no such pair runs. */
static bool run_without(struct supervisor *s, const char *profile, struct error *why)
{
    bool reloaded = reload(s, why);
    const struct profile *left = config_find_profile(s->config, profile);

    if (left && reloaded)
        error_set(why, left->is_of_roster ? "the roster gives a profile of that name, too, and so "
                                            "must revoke its key"
                                          : "the profile's file is still there");
    if (left)
        return false;
    return s->restart_at == 0 ||
           error_set(why, "the processes could not be started again, as the log says");
}

/* Revokes a profile, and ends the connections that came in through its grants. No knock of the
 * profile's gets in between. Once the new helper serves, the old one, which alone would have
 * honoured a knock, has ended, and the doors of the profile's grants are shut. So all connections
 * have come in by then. The grants that the new helper dropped were kept here, and what came in
 * through them is ended. */
static void revoke_profile(struct supervisor *s, struct control_client *client)
{
    struct helper_order order;
    struct error why;

    if (!reply_make_order(&order, &client->request, s->config, &why)) {
        send_result(client, CONTROL_FAILED, "portsmithd had dropped it before: it was reloaded in "
                                            "between, or the helper ended");
        return;
    }
    if (!run_without(s, client->request.profile, &why)) {
        send_result(client, CONTROL_FAILED, why.text);
        return;
    }
    client->until = milliseconds_from_now(CUT_MS);
    pass_on(s, client, &order);
}

static void serve_client(struct supervisor *s, struct control_client *client)
{
    uint32_t verb = client->request.verb;
    struct error why;

    if (!client->is_root &&
        (verb == CONTROL_RELOAD || verb == CONTROL_RELEASE || verb == CONTROL_REVOKE))
        send_result(client, CONTROL_FORBIDDEN, "");
    else if (verb == CONTROL_RELEASE)
        release(s, client);
    else if (verb == CONTROL_REVOKE)
        revoke_profile(s, client);
    else if (verb != CONTROL_RELOAD)
        ask_helper(s, client);
    else if (reload(s, &why))
        send_result(client, CONTROL_DONE, "");
    else
        send_result(client, CONTROL_FAILED, why.text);
}

/* Whether the helper is asked for a client, or connections are ended for one. One who had
 * connections ended may be gone by then. */
static bool is_client_served(struct supervisor *s)
{
    return control_asked(&s->control) || cutting_is_busy(&s->cutting) ||
           (cutting_is_ordered(&s->cutting) && s->pair.orders >= 0);
}

/* Serves the clients of the control socket. The helper is asked for one client at a time. */
static void handle_control(struct supervisor *s)
{
    struct control_client *client;

    control_serve(&s->control);
    while (!s->stopping && !is_client_served(s) && (client = control_next(&s->control)))
        serve_client(s, client);
}

/* Answers the client that had grants closed, and perhaps connections ended. */
static void send_closed(struct control_client *client, const struct cutting *cutting)
{
    static struct control_reply reply;
    struct error why;

    if (cutting_explain(&cutting->result, &why))
        log_warnx("connections may be left: %s", why.text);
    if (!client) /* it did not wait */
        return;
    reply_closed(&reply, &client->request, &cutting->report, &cutting->result);
    control_reply(client, &reply);
}

static void take_report(struct supervisor *s, const struct helper_report *report)
{
    struct control_client *client = control_asked(&s->control);

    if (s->metrics_asked != 0 && report->serial == s->metrics_asked)
        write_metrics(s);
    if (report->serial != s->client_asked || report->serial == 0)
        return;
    if (cutting_begin(&s->cutting, report)) {
        if (client)
            client->until = milliseconds_from_now(CUT_MS);
    } else if (client && client->request.verb == CONTROL_STATUS) {
        send_status(s, client, report);
    } else if (client && client->request.verb == CONTROL_LIST) {
        send_list(s, client);
    } else if (client) {
        send_closed(client, &s->cutting);
    }
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

static void discard(int fd)
{
    char discarded[16384];

    while (recv(fd, discarded, sizeof discarded, MSG_DONTWAIT) > 0 || errno == EINTR ||
           errno == ENOBUFS)
        errno = 0;
}

/* Any message means "something about interfaces changed"; none is read. */
static void handle_links(struct supervisor *s)
{
    discard(s->links);
    if (s->look_at == 0)
        s->look_at = milliseconds_from_now(SETTLE_MS);
    if (s->untracked_at == 0)
        s->untracked_at = milliseconds_from_now(RULES_SETTLE_MS);
}

/* The deadlines of rules, the limits of profiles and the marks of clients that never knocked go by
 * the wall clock as the pair found it when it began: so it begins anew. */
static void handle_clock(struct supervisor *s)
{
    const int64_t soonest = s->started_at + (int64_t)CLOCK_PAUSE * NSEC_PER_SEC;

    if (clock_was_set(s->clock) && s->clock_at == 0)
        s->clock_at = soonest;
}

static void handle_helper(struct supervisor *s)
{
    static struct helper_report report;
    uint32_t kind = pair_read_report(&s->pair, &report);

    if (kind == HELPER_PEER_BROKEN)
        plan_restart(s, PAIR_FAILED);
    else if (kind == HELPER_REPORT)
        take_report(s, &report);
}

static void handle_witness(struct supervisor *s)
{
    uint32_t id;

    if (pair_read_question(&s->pair, &id))
        cutting_ask(&s->cutting, s->config, s->pair.news, id);
}

static void plan_sign_of_life(struct supervisor *s)
{
    if (notify_alive_every_ns() > 0)
        s->alive_at = clock_boot_ns() + notify_alive_every_ns();
}

/* Restarts the pair if this host tracks other connections than it did. At boot portsmithd is there
 * before the network is, and perhaps before the host's rules are. */
static void look_for_untracked(struct supervisor *s)
{
    struct untracked now;
    struct error unused;

    s->untracked_at = 0;
    tracking_find(&now, s->config, NULL, NULL, &unused);
    if (s->restart_at == 0 && !tracking_equal(&now, &s->untracked))
        restart_pair(s);
    tracking_free_untracked(&now);
}

static void handle_time(struct supervisor *s)
{
    static struct log_limit said;
    int64_t now = clock_boot_ns();

    if (s->options->trial_end != 0 && now >= s->options->trial_end) {
        log_info("stopping: the trial is over");
        s->stopping = true;
        return;
    }
    if (s->alive_at != 0 && now >= s->alive_at) {
        notify_alive();
        plan_sign_of_life(s);
    }
    if (s->look_at != 0 && now >= s->look_at) {
        s->look_at = 0;
        if (s->restart_at == 0 && pair_has_other_interfaces(&s->pair, s->config)) {
            log_info_limited(&said, LINES_A_MINUTE,
                             "an interface has come or gone: capturing on those that are there");
            restart_pair(s);
        }
    }
    if (s->clock_at != 0 && now >= s->clock_at) {
        s->clock_at = 0;
        restart_pair(s);
        log_info_limited(&said, LINES_A_MINUTE,
                         "the wall clock was set: live grants have their deadlines by it");
    }
    s->quiet_at = pair_follow_quiet(&s->pair);
    if (s->untracked_at != 0 && now >= s->untracked_at)
        look_for_untracked(s);
    if (s->restart_at != 0 && now >= s->restart_at)
        restart_pair(s);
    if (s->metrics_at != 0 && now >= s->metrics_at)
        gather_metrics(s);
}

static int time_until_next(const struct supervisor *s)
{
    const int64_t planned[] = {s->restart_at, s->look_at, s->untracked_at, s->clock_at,
                               s->alive_at, s->metrics_at, s->quiet_at, s->options->trial_end,
                               control_next_end(&s->control), cutting_next_end(&s->cutting)};
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
    enum {
        SIGNALS, LINKS, ADDRESSES, CLOCK, HELPER, WITNESS, CUTTING,
        CONTROL = CUTTING + CUTTING_FDS
    };
    struct pollfd fds[CONTROL + CONTROL_FDS];

    while (!s->stopping) {
        fds[SIGNALS] = (struct pollfd){.fd = s->signals, .events = POLLIN};
        fds[LINKS] = (struct pollfd){.fd = s->links, .events = POLLIN};
        fds[ADDRESSES] = (struct pollfd){.fd = s->addresses, .events = POLLIN};
        fds[CLOCK] = (struct pollfd){.fd = s->clock, .events = POLLIN};
        fds[HELPER] = (struct pollfd){.fd = s->pair.orders, .events = POLLIN};
        fds[WITNESS] = (struct pollfd){.fd = s->pair.questions, .events = POLLIN};
        cutting_poll(&s->cutting, fds + CUTTING);
        if (poll(fds, CONTROL + control_poll(&s->control, fds + CONTROL), time_until_next(s)) < 0 &&
            errno != EINTR)
            fatal("poll");
        if (fds[SIGNALS].revents)
            handle_signal(s);
        if (fds[LINKS].revents)
            handle_links(s);
        if (fds[ADDRESSES].revents) { /* something about addresses changed */
            discard(s->addresses);
            counters_find_own(&s->memory->own);
        }
        if (fds[CLOCK].revents)
            handle_clock(s);
        if (fds[HELPER].revents && s->pair.orders == fds[HELPER].fd)
            handle_helper(s);
        if (fds[WITNESS].revents && s->pair.questions == fds[WITNESS].fd)
            handle_witness(s);
        if (s->pair.questions < 0)
            cutting_answer_to(&s->cutting, -1);
        if (cutting_serve(&s->cutting, s->config))
            send_closed(control_asked(&s->control), &s->cutting);
        if (!s->stopping)
            handle_time(s);
        if (s->pair.helper != 0 && s->pair.rules != s->rules_told)
            tell_how_it_goes(s);
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

static int open_events(unsigned groups)
{
    struct sockaddr_nl events = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&events, sizeof events) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void tell_ready(const struct supervisor_options *options, const struct config *config)
{
    if (options->trial_end != 0 && options->foreground) {
        trial_announce(config, options->config_path, options->trial_end);
        fflush(stdout);
    }
    if (options->ready >= 0 && write(options->ready, "", 1) != 1)
        log_warn("cannot tell the starting process that we are ready");
    notify_ready();
}

/* Removes the trial's marker: another portsmithd takes over and keeps what is shut, or the trial
 * has not begun. */
static void unmark_trial(const struct supervisor *s)
{
    struct error why;

    if (!trial_remove_marker(s->config, &why))
        log_warnx("portsmithd will not start without --trial until this is removed: %s", why.text);
}

static const char *describe_end(const struct supervisor *s, bool undone)
{
    if (s->handing_over)
        return "stopped; live grants and shut ports stay for the next start";
    if (s->releases)
        return undone ? "stopped; it shuts nothing any more" : "stopped; rules may remain";
    if (s->options->trial_end == 0)
        return "stopped; shut ports stay shut until portsmithctl release";
    return undone ? "the trial was not kept: nothing is shut any more"
                  : "the trial was not kept: rules may remain until the trial's end, when the "
                    "kernel ends them";
}

/* Ends the pair, and has the grants removed. Where no helper runs just now, or it turns out that it
 * was killed, another is started for that. */
static void end_with_grants(struct supervisor *s)
{
    if (s->pair.helper != 0 && pair_end(&s->pair, true))
        return;
    start_pair(s);
    if (!pair_end(&s->pair, true))
        log_warnx("cannot tell a helper to remove live grants; they end at their deadlines");
}

static int stop(struct supervisor *s)
{
    bool undone = false;

    notify_stopping();
    if (s->handing_over)
        pair_end(&s->pair, false);
    else
        end_with_grants(s);
    write_metrics(s);
    counters_log(s->counters);
    /* The marker of a trial that was not kept stays: no start is to shut ports but another
     * trial. */
    if (s->releases || (s->options->trial_end != 0 && !s->handing_over))
        undone = pair_release(s->config->backend_in_use, &s->pair_options);
    else if (s->options->trial_end != 0)
        unmark_trial(s);
    if (s->releases && undone)
        send_result(s->releases, CONTROL_DONE, "");
    else if (s->releases)
        send_result(s->releases, CONTROL_FAILED, "rules may remain, as the log says");
    cutting_close(&s->cutting);
    config_free(s->config);
    control_close(&s->control);
    pidfile_end(s->pidfile);
    log_info("%s", describe_end(s, undone));
    return EXIT_SUCCESS;
}

/* Makes the trial's marker. To be called before any port is shut. */
static void mark_trial(const struct supervisor *s)
{
    struct error why;

    if (s->options->trial_end != 0 && !trial_write_marker(s->config, &why))
        fatalx("%s", why.text);
}

int supervisor_run(const struct supervisor_options *options, struct config *config)
{
    struct supervisor s = {
        .options = options,
        .pair_options = {.foreground = options->foreground && !options->in_journal,
                         .debug = options->debug,
                         .trace = options->trace,
                         .trial_end = options->trial_end},
        .config = config,
        .signals = open_signals(),
        .links = open_events(RTMGRP_LINK),
        .addresses = open_events(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR),
        .clock = clock_watch(),
        .begun_at = clock_boot_ns(),
        .control.listener = -1,
    };
    struct error why;
    enum pair_result result;

    s.memory = counters_create(&s.counters_file);
    s.pair_options.untracked = &s.untracked;
    config_lock(config);
    pair_init(&s.pair);
    cutting_init(&s.cutting);
    if (!s.memory || s.signals < 0 || s.links < 0 || s.addresses < 0 || s.clock < 0)
        fatal("cannot start");
    s.counters = &s.memory->counters;
    counters_find_own(&s.memory->own);
    if (!supervisor_confine(&why)) {
        log_warnx("%s", why.text);
        return EX_CONFIG_STATUS;
    }
    if (!file_make_directory(config->run_directory, 0755, &why))
        fatalx("%s", why.text);
    s.pidfile = pidfile_create(config->run_directory, &why);
    if (s.pidfile < 0)
        fatalx("%s", why.text);
    if (!rosterfile_keep(config, &why))
        fatalx("%s", why.text);
    mark_trial(&s);
    result = start_pair(&s);
    if (result != PAIR_STARTED) {
        log_warnx("portsmithd does not start; ports that it shut before stay shut");
        /* After PAIR_FAILED the trial may have begun. */
        if (options->trial_end != 0 && result != PAIR_FAILED)
            unmark_trial(&s);
        pidfile_end(s.pidfile);
        return result == PAIR_FAILED ? EXIT_FAILURE : EX_CONFIG_STATUS;
    }
    if (!control_open(&s.control, config, &why))
        log_warnx("portsmithctl will not work: %s", why.text);
    tell_ready(options, config);
    plan_sign_of_life(&s);
    gather_metrics(&s);
    serve(&s);
    return stop(&s);
}
