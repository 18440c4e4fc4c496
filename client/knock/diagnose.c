#include "client/knock/diagnose.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/agent.h"
#include "client/compose.h"
#include "client/counter.h"
#include "client/failure.h"
#include "client/knock/door.h"
#include "client/knock/hints.h"
#include "client/resolve.h"
#include "client/send.h"
#include "client/source.h"
#include "client/target.h"
#include "common/clock.h"
#include "common/text/timekeeping.h"
#include "common/text/timespan.h"

enum {
    LABEL_WIDTH = 10,
    SILENCE_MS = 1000,     /* a port that says nothing for so long is taken to be shut */
    LATELY_SECONDS = 3600, /* a knock in this time may have opened a port that is open */
};

struct diagnosis {
    const struct server *server;
    uint32_t seconds;
    unsigned problems;
    uint64_t last;    /* the last counter before this knock; 0: there is none */
    uint64_t counter; /* the first counter of this knock */
    struct target targets[TARGETS_MAX];
    unsigned count; /* how many targets there are */
    struct sending sendings[SENDINGS_MAX];
    unsigned sending_count;
    unsigned sent; /* how many of them were sent */
    struct service services[REQUEST_SERVICES]; /* TCP alone */
    unsigned service_count;
};

/* ---- saying ------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void say(const char *check, const char *kind,
                                                      const char *format, va_list arguments)
{
    printf("%-*s%s", LABEL_WIDTH, check, kind);
    vprintf(format, arguments);
    putchar('\n');
}

__attribute__((format(printf, 2, 3))) static void say_ok(const char *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(check, "ok: ", format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void say_note(const char *check, const char *format,
                                                           ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(check, "note: ", format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 3, 4))) static void say_problem(struct diagnosis *d,
                                                              const char *check,
                                                              const char *format, ...)
{
    va_list arguments;

    d->problems++;
    va_start(arguments, format);
    say(check, "PROBLEM: ", format, arguments);
    va_end(arguments);
}

static void advise(const char *advice)
{
    printf("%-*s-> %s\n", LABEL_WIDTH, "", advice);
}

/* ---- the last failure ---------------------------------------------------- */

/* Writes a number of seconds in the unit that people would take. The text has room for 20 digits.
 * Returns it. */
static const char *format_age(time_t seconds, char text[static 32])
{
    long long age = seconds > 0 ? seconds : 0; /* the clock may have been set back */

    if (age < 120)
        snprintf(text, 32, "%lld s", age);
    else if (age < 7200)
        snprintf(text, 32, "%lld min", age / 60);
    else if (age < 172800)
        snprintf(text, 32, "%lld h", age / 3600);
    else
        snprintf(text, 32, "%lld days", age / 86400);
    return text;
}

/* Shows what an earlier --connect or --wait has said, which nobody may have seen. */
static void show_last_failure(void)
{
    char text[FAILURE_TEXT_SIZE], age[32], *rest = text, *line;
    time_t when;

    if (!failure_read(text, &when) || !(line = strsep(&rest, "\n")))
        return;
    say_note("last", "%s ago: %s", format_age(clock_wall_ns() / NSEC_PER_SEC - when, age), line);
    while ((line = strsep(&rest, "\n")) && *line != '\0')
        advise(line);
}

/* ---- this machine ------------------------------------------------------- */

static void examine_clock(void)
{
    time_t now = clock_wall_ns() / NSEC_PER_SEC;
    struct tm local;
    char text[64];

    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", localtime_r(&now, &local));
    if (timekeeping_is_synchronised()) {
        say_ok("clock", "%s, synchronised", text);
        return;
    }
    say_note("clock", "%s, and nothing keeps it synchronised", text);
    advise("servers ignore knocks that are over five minutes (MaxSkew) off: compare it with "
           "another clock, and run chronyd, ntpd or systemd-timesyncd");
}

static uint64_t seconds_since(uint64_t counter)
{
    uint64_t now = clock_wall_us();

    return counter < now ? (now - counter) / USEC_PER_SEC : 0;
}

static bool examine_counter(struct diagnosis *d)
{
    struct error warning = {""}, why;

    if (!counter_last_own(&d->last))
        d->last = 0;
    if (!counter_take_own(SENDINGS_MAX, &d->counter, &warning, &why)) {
        say_problem(d, "counter", "%s", why.text);
        advise("make the directory and the file writable for you: no knock is sent otherwise");
        return false;
    }
    if (warning.text[0] != '\0') {
        say_problem(d, "counter", "%s", warning.text);
        advise("check the clock: the server takes this knock only if the clock is right now");
    } else if (d->last == 0)
        say_ok("counter", "this is the first knock");
    else
        say_ok("counter", "the last knock was %" PRIu64 " s ago", seconds_since(d->last));
    return true;
}

static void tell_waiting(const char *text)
{
    say_note("agent", "%s", text);
    fflush(stdout);
}

/* Asks the agent for the list of its keys. */
static bool examine_agent(struct diagnosis *d)
{
    char path[PATH_MAX], comment[AGENT_COMMENT_SIZE];
    struct error why;

    if (agent_path(path, d->server->agent, &why) &&
        agent_find(path, &d->server->ssh_key, comment, &why)) {
        say_ok("agent", "%s holds the key of SSHKey, with the comment '%s'", path, comment);
        return true;
    }
    say_problem(d, "agent", "%s", why.text);
    return false;
}

/* NULL if no knock can be signed. */
static struct knocker *examine_identity(struct diagnosis *d)
{
    struct knocker *knocker;
    struct error why;

    if (d->server->has_ssh_key && !examine_agent(d))
        return NULL;
    knocker = knocker_read(d->server, tell_waiting, &why);
    if (knocker && d->server->has_ssh_key)
        return knocker;
    if (knocker) {
        say_ok("identity", "%s", d->server->identity);
        return knocker;
    }
    say_problem(d, "identity", "%s", why.text);
    advise("make an identity with portsmith-knock keygen and have the server's admin add it, or "
           "import the bundle again");
    return NULL;
}

/* ---- the way to the server ---------------------------------------------- */

static void examine_name(struct diagnosis *d, int family)
{
    char text[TARGETS_MAX * (TARGET_TEXT_SIZE + 2)] = "", address[TARGET_TEXT_SIZE];
    struct error why;

    d->count = resolve_server(d->targets, d->server, family, &why);
    if (d->count == 0) {
        say_problem(d, "name", "%s", why.text);
        advise("ask the server's admin whether Host in the server file is right");
        return;
    }
    if (why.text[0] != '\0') {
        say_note("name", "%s", why.text);
        advise("this member of the group is not knocked at; ask the server's admin whether Member in "
               "the server file is right");
    }
    for (unsigned i = 0; i < d->count; i++) {
        strcat(text, i ? ", " : "");
        strcat(text, target_format(&d->targets[i], address));
    }
    if (strcmp(text, d->server->host) == 0)
        say_ok("name", "%s is an address", text);
    else
        say_ok("name", "%s is %s", d->server->host, text);
}

/* Drops the targets that there is no way to. */
static void examine_routes(struct diagnosis *d)
{
    char address[TARGET_TEXT_SIZE], source_text[ADDRESS_TEXT_SIZE];
    struct address source;
    unsigned kept = 0;
    struct error why;
    int fd;

    for (unsigned i = 0; i < d->count; i++) {
        target_format(&d->targets[i], address);
        fd = source_connect_udp(&d->targets[i], &source, &why);
        if (fd < 0) {
            say_note("route", "there is no way to %s from here: %s", address, why.text);
            advise("it is not knocked; if it is an address of the server, see ip route");
            continue;
        }
        close(fd);
        say_ok("route", "%s, from %s", address, address_format(&source, source_text));
        if (!d->targets[i].may_sign)
            say_note("route", "%s stands for an IPv4 host behind a NAT64, which translates: no "
                              "address is signed", address);
        d->targets[kept++] = d->targets[i];
    }
    if (kept == 0 && d->count > 0) {
        say_problem(d, "route", "no address of the server can be reached");
        advise("connect this machine to a network that reaches it");
    }
    d->count = kept;
}

/* ---- the door ----------------------------------------------------------- */

enum answer { SILENT, REFUSED, OPEN };

struct probe {
    struct pollfd polled[TARGETS_MAX]; /* a connection to each target */
    enum answer best;                  /* the most telling answer */
    unsigned best_at;                  /* which target gave it */
};

/* Takes in what poll(2) has reported, and closes the sockets that it has reported. */
static void take_answers(struct probe *probe, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        enum answer answer;
        int failure = 0;
        socklen_t size = sizeof failure;

        if (probe->polled[i].fd < 0 || !probe->polled[i].revents)
            continue;
        getsockopt(probe->polled[i].fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        answer = failure == 0 ? OPEN : failure == ECONNREFUSED ? REFUSED : SILENT;
        close(probe->polled[i].fd);
        probe->polled[i].fd = -1;
        if (answer > probe->best) {
            probe->best = answer;
            probe->best_at = i;
        }
    }
}

/* Connects to all targets at once, and returns their most telling answer. */
static struct probe probe_port(const struct diagnosis *d, uint16_t port)
{
    int64_t end = clock_boot_ns() + (int64_t)SILENCE_MS * NSEC_PER_MSEC, left = SILENCE_MS;
    struct probe probe = {.best = SILENT};
    bool waits = true;

    for (unsigned i = 0; i < d->count; i++) {
        struct target to = d->targets[i];

        target_set_port(&to, port);
        probe.polled[i] = (struct pollfd){source_connect_unseen(&to, NULL), POLLOUT, 0};
    }
    while (waits && left > 0 && probe.best != OPEN &&
           (poll(probe.polled, d->count, (int)left) >= 0 || errno == EINTR)) {
        take_answers(&probe, d->count);
        left = (end - clock_boot_ns()) / NSEC_PER_MSEC;
        waits = false;
        for (unsigned i = 0; i < d->count; i++)
            waits |= probe.polled[i].fd >= 0;
    }
    for (unsigned i = 0; i < d->count; i++)
        if (probe.polled[i].fd >= 0)
            close(probe.polled[i].fd);
    return probe;
}

static void tell_open(struct diagnosis *d, const char *service, const char *address)
{
    if (d->last != 0 && seconds_since(d->last) < LATELY_SECONDS) {
        say_note("before", "%s at %s is open without this knock, perhaps by an earlier one",
                 service, address);
        advise("to be sure, try again when the window of the earlier knock is over");
        return;
    }
    say_problem(d, "before", "%s at %s is open without a knock", service, address);
    advise("the server does not shut it, or lets you in by another rule: ask its admin whether "
           "Shut names it, and what portsmithctl doctor reports there");
}

static void examine_before(struct diagnosis *d)
{
    char service[SERVICE_TEXT_SIZE], address[TARGET_TEXT_SIZE];

    for (unsigned i = 0; i < d->service_count; i++) {
        struct probe probe = probe_port(d, d->services[i].port);

        service_format(&d->services[i], service);
        if (probe.best == OPEN)
            tell_open(d, service, target_format(&d->targets[probe.best_at], address));
        else
            say_ok("before", "%s is shut: %s", service,
                   probe.best == REFUSED ? "connections are refused" : "nothing answers");
    }
}

static void send_knock(struct diagnosis *d, struct knocker *knocker)
{
    struct request request = knock_request(d->server, ACTION_OPEN);
    char address[TARGET_TEXT_SIZE];

    request.counter = d->counter;
    d->sent = send_knocks(d->sendings, &d->sending_count, d->targets, d->count, knocker, &request,
                          d->server->address.source == ADDRESS_AUTO);
    for (unsigned i = 0; i < d->sending_count; i++) {
        const struct sending *s = &d->sendings[i];

        target_format(&s->target, address);
        if (s->sent) {
            say_ok("knock", "%zu bytes were sent by %s to %s", s->size,
                   transport_name(s->transport), address);
            continue;
        }
        if (s->is_refused) {
            say_problem(d, "knock", "%s", s->why.text);
            return;
        }
        say_problem(d, "knock", "not sent by %s to %s: %s", transport_name(s->transport), address,
                    s->why.text);
        advise("let it through this machine's firewall, or choose another --transport that the "
               "server listens to");
    }
}

static void examine_after(struct diagnosis *d, struct knocker *knocker)
{
    const struct door door = {.sendings = d->sendings, .count = d->sending_count,
                              .services = d->services, .service_count = d->service_count,
                              .knocker = knocker, .unseen = true};
    char span[TIMESPAN_TEXT_SIZE];
    int error, fd;

    if (d->service_count == 0) {
        say_note("after", "no TCP service is named, so nothing can be connected to");
        advise("name a service that the knock opens, such as tcp/22");
        return;
    }
    fd = door_enter(&door, d->seconds, &error);
    if (fd >= 0) {
        close(fd);
        say_ok("after", "the server lets you in");
        return;
    }
    say_problem(d, "after", "the port is still shut %s after the knock",
                timespan_format(d->seconds, span));
    hints_tell(&door, error, advise);
    if (d->server->transport == TRANSPORT_UDP)
        advise("a network on the way may drop UDP: try --transport tcp-syn, or icmp, if Transports "
               "on the server names it");
    advise("ask the server's admin what portsmithctl doctor reports there");
}

/* ---- the whole ---------------------------------------------------------- */

int diagnose_run(const struct server *server, int family, uint32_t seconds)
{
    static struct diagnosis d;
    struct knocker *knocker;

    d = (struct diagnosis){.server = server, .seconds = seconds};
    d.service_count = server_doors(server, d.services);
    say_ok("server", "%s port %u, by %s", server->host, server->port,
           transport_name(server->transport));
    show_last_failure();
    examine_clock();
    examine_name(&d, family);
    examine_routes(&d);
    knocker = examine_identity(&d);
    if (examine_counter(&d) && knocker && d.count > 0) {
        examine_before(&d);
        send_knock(&d, knocker);
        if (d.sent > 0)
            examine_after(&d, knocker);
    }
    knocker_free(knocker);
    if (d.problems == 0)
        puts("\nNo problem was found.");
    else
        printf("\n%u problem%s.\n", d.problems, d.problems == 1 ? "" : "s");
    return d.problems ? EXIT_PROBLEMS : EXIT_SUCCESS;
}
