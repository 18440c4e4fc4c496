/* portsmith-knock(1): asks a server to open its doors. */
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
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
#include "client/resolve.h"
#include "client/send.h"
#include "client/server.h"
#include "client/sign.h"
#include "client/target.h"
#include "common/file.h"
#include "common/text/timespan.h"

enum { EXIT_SHUT = 3 };

/* A knock that was sent, as far as connecting needs it. */
struct knocked {
    struct knocker *knocker; /* owned; NULL once there is a connection */
    struct sending sendings[SENDINGS_MAX];
    struct door door; /* points to the other members */
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
        return cli_usage_error("'%s' is a subcommand and must come first; use --config for a "
                               "server file of that name", name);
    if (known_read(server, name, &why))
        return EXIT_SUCCESS;
    near = errno == ENOENT ? subcommand_near(name) : NULL;
    cli_failure(EX_CONFIG, &why);
    if (near)
        warnx("'%s' is no subcommand either; did you mean '%s'?", name, near);
    return EX_CONFIG;
}

static int apply_option(struct server *server, const char *option, const char *value,
                       bool (*set)(void *server, const char *value, struct error *why))
{
    struct error why;

    if (!value || set(server, value, &why))
        return EXIT_SUCCESS;
    return cli_usage_error("%s: %s", option, why.text);
}

/* Fills in a server that has no file: HOST, --server-key and --port. */
static int describe_server(struct server *server, const struct options *o)
{
    char identity[PATH_MAX];
    struct error why;
    int status;

    if (!o->port)
        return cli_usage_error("--server-key needs --port: the knock port of HOST");
    if (!path_identity(identity, &why) || !server_set_identity(server, identity, &why))
        return cli_failure(EXIT_FAILURE, &why);
    status = apply_option(server, "HOST", o->words[0], server_set_host);
    if (status == EXIT_SUCCESS)
        status = apply_option(server, "--port", o->port, server_set_port);
    if (status == EXIT_SUCCESS)
        status = apply_option(server, "--server-key", o->server_key, server_set_public_key);
    return status;
}

static int find_server(struct server *server, const struct options *o)
{
    struct error why;

    if (o->config)
        return server_read(server, o->config, &why) ? EXIT_SUCCESS : cli_failure(EX_CONFIG, &why);
    if (o->server_key)
        return describe_server(server, o);
    if (!o->connect)
        return read_server(server, o->words[0]);
    return known_read_host(server, o->words[0], &why) ? EXIT_SUCCESS
                                                      : cli_failure(EX_CONFIG, &why);
}

/* Has the knock ask for the one service that --connect connects to, by PORT. */
static int apply_port(struct server *server, const char *text)
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

/* Checks that there is a TCP service to wait for: --wait cannot know of services that only the
 * profile names. */
static int check_waiting(const struct server *server)
{
    for (unsigned i = 0; i < server->service_count; i++)
        if (server->services[i].protocol == IPPROTO_TCP)
            return EXIT_SUCCESS;
    return cli_usage_error("--wait: there is no TCP service to wait for; name one, such as tcp/22");
}

/* Puts the command line's services in place of the file's. */
static int apply_services(struct server *server, const struct options *o)
{
    int first = o->config ? 0 : 1;
    struct error why;

    if (o->connect)
        return apply_port(server, o->words[first]);
    if (first < o->word_count)
        server->service_count = 0;
    for (int i = first; i < o->word_count; i++)
        if (!server_add_service(server, o->words[i], &why))
            return cli_usage_error("%s", why.text);
    return o->wait ? check_waiting(server) : EXIT_SUCCESS;
}

/* A server knows one key of this profile: an identity's, or one that an ssh-agent holds. */
static int check_key_options(const struct server *server, const struct options *o)
{
    if (o->identity && server->has_ssh_key)
        return cli_usage_error("--identity: the server file has an SSHKey in its place");
    if (o->agent && !server->has_ssh_key)
        return cli_usage_error("--agent: no ssh-agent is asked unless a server file has an SSHKey");
    return EXIT_SUCCESS;
}

static int apply_options(struct server *server, const struct options *o)
{
    int status = check_key_options(server, o);

    if (status == EXIT_SUCCESS)
        status = apply_option(server, "--agent", o->agent, server_set_agent);
    if (status == EXIT_SUCCESS)
        status = apply_option(server, "--window", o->window, server_set_window);
    if (status == EXIT_SUCCESS)
        status = apply_option(server, "--address", o->address, server_set_address);
    if (status == EXIT_SUCCESS)
        status = apply_option(server, "--identity", o->identity, server_set_identity);
    if (status == EXIT_SUCCESS)
        status = apply_option(server, "--transport", o->transport, server_set_transport);
    return status == EXIT_SUCCESS ? apply_services(server, o) : status;
}

/* ---- the knock ----------------------------------------------------------- */

/* Says for -v what was done with a datagram, and what that asks for. */
static void tell_datagram(const char *done, size_t size, const char *where,
                          const struct request *r)
{
    char services[REQUEST_SERVICES * SERVICE_TEXT_SIZE];
    char address[ADDRESS_TEXT_SIZE], window[TIMESPAN_TEXT_SIZE];

    warnx("%s %zu bytes to %s: %s %s for %s%s%s%s", done, size, where,
          r->action == ACTION_CLOSE ? "close" : "open",
          r->service_count
              ? services_format(r->services, r->service_count, services, sizeof services)
              : "all that the profile permits",
          r->has_address ? "the signed address " : "the address that the server observes",
          r->has_address           ? address_format(&r->address, address)
          : request_names_member(r) ? ", at this member of the group"
                                    : "",
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

static int write_knock(struct knocker *knocker, struct request *r, const struct options *o)
{
    bool standard = strcmp(o->output, "-") == 0;
    uint8_t datagram[DATAGRAM_MAX];
    struct signature signature;
    struct error why;
    size_t size;

    if (!take_counters(1, &r->counter, &why) || !knock_sign(&signature, knocker, r, &why))
        return cli_failure(EXIT_FAILURE, &why);
    size = knock_seal(datagram, knocker, r, &signature);
    if (standard && !file_write_all(STDOUT_FILENO, datagram, size)) {
        warn("standard output");
        return EXIT_FAILURE;
    }
    if (!standard && !file_create(o->output, 0600, datagram, size, &why))
        return cli_failure(EXIT_FAILURE, &why);
    if (o->verbose)
        tell_datagram("wrote", size, standard ? "standard output" : o->output, r);
    return EXIT_SUCCESS;
}

static void tell_waiting(const char *text)
{
    warnx("%s", text);
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
        tell_datagram("sent", s->size, where, &s->request);
    else
        warnx("not sent to %s: %s", where, s->why.text);
    if (s->sent && !s->target.may_sign)
        warnx("no address was signed: %s stands for an IPv4 host behind a NAT64, which sees "
              "another address than this machine's", address);
}

static int knock_everywhere(struct knocked *knocked, const struct server *server,
                            struct request *r, const struct options *o)
{
    struct sending *sendings = knocked->sendings;
    struct target targets[TARGETS_MAX];
    unsigned count, made, sent;
    struct error why;

    count = resolve_server(targets, server, o->family, &why);
    if (count > 0 && why.text[0] != '\0')
        warnx("%s", why.text);
    if (count == 0 || !take_counters(SENDINGS_MAX, &r->counter, &why))
        return cli_failure(EXIT_FAILURE, &why);
    sent = send_knocks(sendings, &made, targets, count, knocked->knocker, r,
                       server->address.source == ADDRESS_AUTO);
    for (unsigned i = 0; o->verbose && i < made; i++)
        tell_sending(&sendings[i]);
    if (sent == 0) {
        const struct sending *failed = send_to_blame(sendings, made);

        cli_warn("no knock was sent to %s: %s%s", server->host, failed->why.text,
                 send_advice(failed));
        return EXIT_FAILURE;
    }
    strcpy(knocked->host, server->host);
    knocked->door = (struct door){.sendings = sendings, .count = made,
                                  .services = knocked->services,
                                  .service_count = server_doors(server, knocked->services),
                                  .knocker = knocked->knocker,
                                  .tell = o->verbose ? tell_sending : NULL};
    return EXIT_SUCCESS;
}

static int knock(struct knocked *knocked, const struct server *server, const struct options *o)
{
    struct error why;
    struct request r = knock_request(server, o->close ? ACTION_CLOSE : ACTION_OPEN);

    if (o->output && !knock_name_member(&r, server, &why))
        return cli_failure(EX_CONFIG, &why);
    knocked->knocker = knocker_read(server, tell_waiting, &why);
    if (!knocked->knocker)
        return cli_failure(EX_CONFIG, &why);
    return o->output ? write_knock(knocked->knocker, &r, o)
                     : knock_everywhere(knocked, server, &r, o);
}

/* Knocks at the server that the options name. When it returns, *knocked holds the secrets that a
 * further knock needs; all other secrets are gone. */
static int find_and_knock(struct knocked *knocked, const struct options *o)
{
    struct error why;
    struct server *server = server_new(&why);
    int status;

    if (!server)
        return cli_failure(EXIT_FAILURE, &why);
    status = find_server(server, o);
    cli_tell_notes(&server->notes);
    if (status == EXIT_SUCCESS)
        status = apply_options(server, o);
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
    char services[REQUEST_SERVICES * SERVICE_TEXT_SIZE], span[TIMESPAN_TEXT_SIZE];

    cli_warn("the knock was sent to %s, but %s is still shut after %s", k->host,
             services_format(k->services, k->door.service_count, services, sizeof services),
             timespan_format(seconds, span));
}

static bool told_slow;

/* Says already now why the door may be shut: whoever started this may end it before its time is
 * over. */
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

/* Makes the connection that of the program which started this one. */
static int hand_over(int fd, const struct options *o)
{
    struct error why;
    bool done;

    if (!o->relay && (o->pass || pass_is_expected(STDIN_FILENO, STDOUT_FILENO)))
        done = pass_descriptor(STDOUT_FILENO, fd, &why);
    else
        done = relay_run(STDIN_FILENO, STDOUT_FILENO, fd, &why);
    return done ? EXIT_SUCCESS : cli_failure(EXIT_FAILURE, &why);
}

/* Wipes the secrets: a connection may last long, and needs none. */
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
