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

#include "daemon/ask/ask.h"
#include "daemon/ask/report.h"

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

/* Prints what differs between two looks. The grants of both are in the order of their ids, so one
 * walk along both finds it. A grant of which more is left than before was knocked for again. */
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
        else if (now->grants[j].seconds_left > before->grants[i].seconds_left)
            printed = print_grant("extended", &now->grants[j], json);
        i += !only_new;
        j += !only_old;
    }
    return printed;
}

static bool counters_differ(const struct control_status *a, const struct control_status *b)
{
    return memcmp(&a->counters, &b->counters, sizeof a->counters) != 0 ||
           memcmp(a->verdicts, b->verdicts, sizeof a->verdicts) != 0;
}

/* ---- looking -------------------------------------------------------------- */

/* Asks for the grants and the status. The caller frees view->grants. */
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

/* A descriptor that becomes readable on SIGINT and SIGTERM; -1 on failure. */
static int open_signals(void)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    return sigprocmask(SIG_BLOCK, &ending, NULL) == 0 ? signalfd(-1, &ending, SFD_CLOEXEC) : -1;
}

bool watch_run(const struct config *config, bool json, struct error *why)
{
    struct view before = {0}, now;
    enum ask_result result;
    int signals = open_signals();
    struct pollfd ends[] = {{.fd = signals, .events = POLLIN},
                            {.fd = STDOUT_FILENO}}; /* POLLERR: nobody reads that pipe */
    bool first = true, printed = true;

    do {
        result = look(config, &now, why);
        if (result == ASK_RESTARTING)
            continue;
        if (result != ASK_DONE)
            break;
        printed = print_changes(&before, &now, first, json);
        if (printed && (first || counters_differ(&before.status, &now.status)))
            printed = print_counters(&now.status, json);
        free(before.grants);
        before = now;
        first = false;
    } while (printed && poll(ends, 2, LOOK_MS) <= 0);
    free(before.grants);
    close(signals);
    return result == ASK_DONE || result == ASK_RESTARTING;
}
