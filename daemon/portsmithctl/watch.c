#include "daemon/portsmithctl/watch.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/portsmithctl/ask.h"
#include "daemon/portsmithctl/report.h"

enum { LOOK_MS = 1000 };

/* What was seen at one look. */
struct view {
    struct control_grant *grants; /* ascending by id */
    size_t count;
    struct control_status status;
};

/* ---- printing ------------------------------------------------------------ */

static bool print_json(const char *event, json_t *what)
{
    json_t *line = json_pack("{s:s, s:I}", "event", event, "time", (json_int_t)time(NULL));

    if (line && what)
        json_object_update(line, what);
    json_decref(what);
    return report_print(line, JSON_COMPACT);
}

static void print_time(void)
{
    time_t now = time(NULL);
    struct tm local;
    char text[16];

    strftime(text, sizeof text, "%H:%M:%S", localtime_r(&now, &local));
    printf("%s  ", text);
}

static bool print_grant(const char *event, const struct control_grant *g, bool json)
{
    char address[ADDRESS_TEXT_SIZE], service[SERVICE_TEXT_SIZE];

    if (json)
        return print_json(event, report_grant_json(g));
    print_time();
    printf("%-8s  %4u  %s  %s for %s", event, g->id, report_profile(g),
           service_format(&g->service, service), address_format(&g->address, address));
    if (strcmp(event, "ended") == 0)
        printf(", used: %s\n", report_used(g));
    else
        printf(", %u s left\n", g->seconds_left);
    return fflush(stdout) == 0;
}

static bool print_counters(const struct control_status *s, bool json)
{
    const struct counters *c = &s->counters;

    if (json)
        return print_json("status", report_status_json(s));
    print_time();
    printf("counters  %" PRIu64 " packets, %" PRIu64 " dropped, %" PRIu64 " garbage; %" PRIu64
           " knocks: %" PRIu64 " granted, %" PRIu64 " refused; %u live\n",
           c->captured, c->dropped, c->garbage, c->authentic, report_granted(s),
           report_refused(s), s->live);
    return fflush(stdout) == 0;
}

/* ---- comparing ----------------------------------------------------------- */

/* More is left than was: it was knocked for again. */
static bool was_extended(const struct control_grant *before, const struct control_grant *now)
{
    return now->seconds_left > before->seconds_left;
}

/* Both are in the order of their ids, so one walk along both finds what differs. */
static bool print_changes(const struct view *before, const struct view *now, bool first,
                          bool json)
{
    size_t i = 0, j = 0;
    bool printed = true;

    while (printed && (i < before->count || j < now->count)) {
        bool only_old = j == now->count ||
                        (i < before->count && before->grants[i].id < now->grants[j].id);
        bool only_new = !only_old && (i == before->count ||
                                      now->grants[j].id < before->grants[i].id);

        if (only_old)
            printed = print_grant("ended", &before->grants[i], json);
        else if (only_new)
            printed = print_grant(first ? "live" : "opened", &now->grants[j], json);
        else if (was_extended(&before->grants[i], &now->grants[j]))
            printed = print_grant("extended", &now->grants[j], json);
        i += !only_new;
        j += !only_old;
    }
    return printed;
}

static bool counters_differ(const struct view *before, const struct view *now)
{
    return memcmp(&before->status.counters, &now->status.counters,
                  sizeof now->status.counters) != 0 ||
           memcmp(before->status.verdicts, now->status.verdicts, sizeof now->status.verdicts) != 0;
}

/* ---- looking -------------------------------------------------------------- */

static enum ask_result look(const struct config *config, struct view *view, struct error *why)
{
    static const struct control_request status = {.verb = CONTROL_STATUS};
    struct control_reply reply;
    enum ask_result result = ask_grants(config, &view->grants, &view->count, why);

    if (result == ASK_DONE)
        result = ask(config, &status, &reply, why);
    if (result == ASK_DONE) {
        view->status = reply.status;
        return result;
    }
    free(view->grants);
    view->grants = NULL;
    return result;
}

/* A descriptor that says when to end. */
static int open_signals(void)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    return sigprocmask(SIG_BLOCK, &ending, NULL) == 0 ? signalfd(-1, &ending, SFD_CLOEXEC) : -1;
}

static bool is_over(int signals)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                           {.fd = STDOUT_FILENO}}; /* a pipe that nobody reads: POLLERR */

    return poll(fds, 2, LOOK_MS) > 0;
}

bool watch_run(const struct config *config, bool json, struct error *why)
{
    struct view before = {0}, now;
    enum ask_result result;
    int signals = open_signals();
    bool first = true, printed = true;

    do {
        result = look(config, &now, why);
        if (result == ASK_RESTARTING)
            continue;
        if (result != ASK_DONE)
            break;
        printed = print_changes(&before, &now, first, json);
        if (printed && (first || counters_differ(&before, &now)))
            printed = print_counters(&now.status, json);
        free(before.grants);
        before = now;
        first = false;
    } while (printed && !is_over(signals));
    free(before.grants);
    close(signals);
    return result == ASK_DONE || result == ASK_RESTARTING;
}
