/* portsmith-knock(1): asks a server to open its doors. */
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/compose.h"
#include "client/counter.h"
#include "client/failure.h"
#include "client/knock/diagnose.h"
#include "client/knock/door.h"
#include "client/knock/hints.h"
#include "client/knock/options.h"
#include "client/knock/pass.h"
#include "client/knock/relay.h"
#include "client/knock/subcommandnames.h"
#include "client/knock/subcommands.h"
#include "client/known.h"
#include "client/paths.h"
#include "client/send.h"
#include "client/server.h"
#include "client/target.h"
#include "common/file.h"
#include "common/text/timespan.h"

enum { EXIT_SHUT = 3 };

/* What is left of a knock: enough to connect. */
struct knocked {
    struct knocker *knocker; /* owned; until there is a connection */
    struct sending sendings[SENDINGS_MAX];
    struct door door; /* of them */
    struct service services[REQUEST_SERVICES];
    char host[SERVER_HOST_SIZE];
};

/* ---- which server -------------------------------------------------------- */

static int read_server(struct server *server, const char *name)
{
    const char *near;
    struct error why;

    if (!known_check_name(name, &why))
        return cli_usage_error("%s", why.text);
    if (subcommand_exists(name))
        return cli_usage_error("'%s' is a subcommand and must come first; a server file of that "
                               "name is reached with --config", name);
    if (known_read(server, name, &why))
        return EXIT_SUCCESS;
    near = errno == ENOENT ? subcommand_near(name) : NULL;
    cli_failure(EX_CONFIG, &why);
    if (near)
        warnx("'%s' is no subcommand either; did you mean '%s'?", name, near);
    return EX_CONFIG;
}

/* HOST as ssh(1) names it. */
static int read_host(struct server *server, const char *host)
{
    struct error why;

    return known_read_host(server, host, &why) ? EXIT_SUCCESS : cli_failure(EX_CONFIG, &why);
}

static int take_option(struct server *server, const char *option, const char *value,
                       bool (*set)(void *server, const char *value, struct error *why))
{
    struct error why;

    if (!value || set(server, value, &why))
        return EXIT_SUCCESS;
    return cli_usage_error("%s: %s", option, why.text);
}

/* A server without a file: HOST, --server-key and --port. */
static int describe_server(struct server *server, const struct options *o)
{
    char identity[PATH_MAX];
    struct error why;
    int status;

    if (!o->port)
        return cli_usage_error("--server-key needs --port too: the knock port of HOST");
    if (!path_identity(identity, &why) || !server_set_identity(server, identity, &why))
        return cli_failure(EXIT_FAILURE, &why);
    status = take_option(server, "HOST", o->words[0], server_set_host);
    if (status == EXIT_SUCCESS)
        status = take_option(server, "--port", o->port, server_set_port);
    if (status == EXIT_SUCCESS)
        status = take_option(server, "--server-key", o->server_key, server_set_public_key);
    return status;
}

static int find_server(struct server *server, const struct options *o)
{
    struct error why;

    if (o->config)
        return server_read(server, o->config, &why) ? EXIT_SUCCESS : cli_failure(EX_CONFIG, &why);
    if (o->server_key)
        return describe_server(server, o);
    return o->connect ? read_host(server, o->words[0]) : read_server(server, o->words[0]);
}

/* The one service that is connected to. */
static int take_port(struct server *server, const char *text)
{
    struct service service = {.protocol = IPPROTO_TCP};
    struct error why;

    if (!port_parse(&service.port, text, &why))
        return cli_usage_error("PORT: %s", why.text);
    service.port = server_service_port(server, service.port);
    server->services[0] = service;
    server->service_count = 1;
    return EXIT_SUCCESS;
}

/* --wait cannot know of services that only the profile names. */
static int check_waiting(const struct server *server)
{
    for (unsigned i = 0; i < server->service_count; i++)
        if (server->services[i].protocol == IPPROTO_TCP)
            return EXIT_SUCCESS;
    return cli_usage_error("--wait: there is no TCP service to wait for; name one, such as tcp/22");
}

/* The command line's services take the place of the file's. */
static int take_services(struct server *server, const struct options *o)
{
    int first = o->config ? 0 : 1;
    struct error why;

    if (o->connect)
        return take_port(server, o->words[first]);
    if (first < o->word_count)
        server->service_count = 0;
    for (int i = first; i < o->word_count; i++)
        if (!server_add_service(server, o->words[i], &why))
            return cli_usage_error("%s", why.text);
    return o->wait ? check_waiting(server) : EXIT_SUCCESS;
}

static int take_options(struct server *server, const struct options *o)
{
    int status = take_option(server, "--window", o->window, server_set_window);

    if (status == EXIT_SUCCESS)
        status = take_option(server, "--address", o->address, server_set_address);
    if (status == EXIT_SUCCESS)
        status = take_option(server, "--identity", o->identity, server_set_identity);
    if (status == EXIT_SUCCESS)
        status = take_option(server, "--transport", o->transport, server_set_transport);
    return status == EXIT_SUCCESS ? take_services(server, o) : status;
}

/* ---- the knock ----------------------------------------------------------- */

/* With blanks between them. Returns `text`. */
static const char *format_services(const struct service *services, unsigned count, char *text)
{
    char service[SERVICE_TEXT_SIZE];

    text[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        strcat(text, i == 0 ? "" : " ");
        strcat(text, service_format(&services[i], service));
    }
    return text;
}

/* In plain words, for -v. */
static void tell(const char *done, size_t size, const char *where, const struct request *r)
{
    char services[REQUEST_SERVICES * (SERVICE_TEXT_SIZE + 1)];
    char address[ADDRESS_TEXT_SIZE], window[TIMESPAN_TEXT_SIZE];

    warnx("%s %zu bytes to %s: %s %s for %s%s%s%s", done, size, where,
          r->action == ACTION_CLOSE ? "close" : "open",
          r->service_count ? format_services(r->services, r->service_count, services)
                           : "all that the profile permits",
          r->has_address ? "the signed address " : "the address that the server observes",
          r->has_address ? address_format(&r->address, address) : "",
          r->action == ACTION_CLOSE ? "" : r->window ? ", window " : ", the profile's own window",
          r->window ? timespan_format(r->window, window) : "");
}

static bool take_counters(unsigned count, uint64_t *first, struct error *why)
{
    struct error warning;

    if (!counter_take_own(count, first, &warning, why))
        return false;
    if (warning.text[0] != '\0')
        warnx("%s", warning.text);
    return true;
}

static int write_knock(const struct knocker *knocker, struct request *r, const struct options *o)
{
    bool standard = strcmp(o->output, "-") == 0;
    uint8_t datagram[DATAGRAM_MAX];
    struct error why;
    size_t size;

    if (!take_counters(1, &r->counter, &why))
        return cli_failure(EXIT_FAILURE, &why);
    size = knock_make(datagram, knocker, r);
    if (standard && !file_write_all(STDOUT_FILENO, datagram, size)) {
        warn("standard output");
        return EXIT_FAILURE;
    }
    if (!standard && !file_create(o->output, 0600, datagram, size, &why))
        return cli_failure(EXIT_FAILURE, &why);
    if (o->verbose)
        tell("wrote", size, standard ? "standard output" : o->output, r);
    return EXIT_SUCCESS;
}

static void tell_sending(const struct sending *s)
{
    char address[TARGET_TEXT_SIZE], where[TARGET_TEXT_SIZE + sizeof " port 65535 by tcp-syn"];

    target_format(&s->target, address);
    if (s->transport == TRANSPORT_ICMP)
        snprintf(where, sizeof where, "%s by icmp", address);
    else
        snprintf(where, sizeof where, "%s port %u%s", address, target_port(&s->target),
                 s->transport == TRANSPORT_TCP_SYN ? " by tcp-syn" : "");
    if (s->sent)
        tell("sent", s->size, where, &s->request);
    else
        warnx("not sent to %s: %s", where, s->why.text);
    if (s->sent && !s->target.may_sign)
        warnx("the address was left open: %s stands for an IPv4 host behind a NAT64, which sees "
              "another address than this machine's", address);
}

static void keep_knocked(struct knocked *k, const struct server *server, unsigned count,
                         bool verbose)
{
    strcpy(k->host, server->host);
    k->door = (struct door){.sendings = k->sendings, .count = count, .services = k->services,
                            .knocker = k->knocker, .tell = verbose ? tell_sending : NULL};
    k->door.service_count = server_doors(server, k->services);
}

static int knock_everywhere(struct knocked *knocked, const struct server *server,
                            struct request *r, const struct options *o)
{
    struct sending *sendings = knocked->sendings;
    bool signs = server->address.source == ADDRESS_AUTO;
    struct target targets[TARGETS_MAX];
    unsigned count, made, sent;
    struct error why;

    count = target_resolve(targets, server->host, server->port, o->family, signs, &why);
    if (count == 0 || !take_counters(SENDINGS_MAX, &r->counter, &why))
        return cli_failure(EXIT_FAILURE, &why);
    sent = send_knocks(sendings, &made, targets, count, knocked->knocker, r, signs);
    for (unsigned i = 0; o->verbose && i < made; i++)
        tell_sending(&sendings[i]);
    if (sent == 0) {
        cli_warn("no knock was sent to %s: %s%s", server->host, sendings[0].why.text,
                 send_advice(&sendings[0]));
        return EXIT_FAILURE;
    }
    keep_knocked(knocked, server, made, o->verbose);
    return EXIT_SUCCESS;
}

static int knock(struct knocked *knocked, const struct server *server, const struct options *o)
{
    struct error why;
    struct request r = knock_request(server, o->close ? ACTION_CLOSE : ACTION_OPEN);

    knocked->knocker = knocker_read(server, &why);
    if (!knocked->knocker)
        return cli_failure(EX_CONFIG, &why);
    return o->output ? write_knock(knocked->knocker, &r, o)
                     : knock_everywhere(knocked, server, &r, o);
}

/* The secrets that a further knock needs are left; all others are gone when it returns. */
static int find_and_knock(struct knocked *knocked, const struct options *o)
{
    struct error why;
    struct server *server = server_new(&why);
    int status;

    if (!server)
        return cli_failure(EXIT_FAILURE, &why);
    status = find_server(server, o);
    if (status == EXIT_SUCCESS)
        status = take_options(server, o);
    if (status == EXIT_SUCCESS)
        status = o->diagnose ? diagnose_run(server, o->family, o->seconds)
                             : knock(knocked, server, o);
    server_free(server);
    return status;
}

/* ---- the connection ------------------------------------------------------ */

static void tell_hint(const char *hint)
{
    cli_warn("hint: %s", hint);
}

static void tell_shut(const struct knocked *k, uint32_t seconds)
{
    char services[REQUEST_SERVICES * (SERVICE_TEXT_SIZE + 1)], span[TIMESPAN_TEXT_SIZE];

    cli_warn("the knock was sent to %s, but %s is still shut after %s", k->host,
             format_services(k->services, k->door.service_count, services),
             timespan_format(seconds, span));
}

static bool told_slow;

/* Whoever started this may end it before its time is over. */
static void tell_slow(const struct door *door, int error)
{
    const char *of_door = (const char *)door;

    tell_shut((const struct knocked *)(of_door - offsetof(struct knocked, door)), DOOR_SLOW);
    hints_tell(door, error, tell_hint);
    failure_keep();
    told_slow = true;
}

static void tell_connected(int fd)
{
    char address[NI_MAXHOST], port[NI_MAXSERV];
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;

    if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
        getnameinfo((struct sockaddr *)&peer, size, address, sizeof address, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        warnx("connected to %s port %s", address, port);
}

/* The connection becomes that of the program which started this one. */
static int hand_over(int fd, const struct options *o)
{
    struct error why;
    bool done;

    signal(SIGPIPE, SIG_IGN);
    if (!o->relay && (o->pass || pass_is_expected(STDIN_FILENO, STDOUT_FILENO)))
        done = pass_descriptor(STDOUT_FILENO, fd, &why);
    else
        done = relay_run(STDIN_FILENO, STDOUT_FILENO, fd, &why);
    return done ? EXIT_SUCCESS : cli_failure(EXIT_FAILURE, &why);
}

/* The connection may last, and needs no secrets. */
static void forget_secrets(struct knocked *k)
{
    knocker_free(k->knocker);
    k->knocker = NULL;
}

static int enter(struct knocked *k, const struct options *o)
{
    int error, fd, status;

    k->door.unseen = o->wait;
    k->door.slow = tell_slow;
    fd = door_enter(&k->door, o->seconds, &error);
    forget_secrets(k);
    if (fd < 0) {
        tell_shut(k, o->seconds);
        if (!told_slow)
            hints_tell(&k->door, error, tell_hint);
        return EXIT_SHUT;
    }
    if (told_slow)
        failure_forget();
    if (o->verbose)
        tell_connected(fd);
    status = o->connect ? hand_over(fd, o) : EXIT_SUCCESS;
    close(fd);
    return status;
}

/* ---- the command line ---------------------------------------------------- */

static int run(int argc, char **argv)
{
    struct knocked knocked = {0};
    struct options o;
    int status;

    if (argc > 1 && subcommand_exists(argv[1]))
        return subcommand_run(argc, argv);
    status = options_read(&o, argc, argv);
    if (o.print) {
        fputs(o.print, stdout);
        return EXIT_SUCCESS;
    }
    if (status == EXIT_SUCCESS)
        status = find_and_knock(&knocked, &o);
    if (status == EXIT_SUCCESS && options_connect(&o))
        status = enter(&knocked, &o);
    if (status != EXIT_SUCCESS && options_connect(&o))
        failure_keep();
    forget_secrets(&knocked);
    return status;
}

int main(int argc, char **argv)
{
    int status;

    cli_hold_standard();
    if (sodium_init() < 0)
        errx(EXIT_FAILURE, "libsodium cannot be initialized");
    status = run(argc, argv);
    if (fflush(stdout) != 0) {
        warn("standard output");
        return EXIT_FAILURE;
    }
    return status;
}
