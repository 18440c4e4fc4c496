/* portsmith-knock(1): asks a server to open its doors. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "counter.h"
#include "file.h"
#include "identity.h"
#include "knock.h"
#include "known.h"
#include "paths.h"
#include "send.h"
#include "server.h"
#include "subcommands.h"
#include "target.h"
#include "timespan.h"

static const char help[] =
    "Usage: portsmith-knock [options] SERVER [SERVICE...]\n"
    "       portsmith-knock [options] --config FILE [SERVICE...]\n"
    "       portsmith-knock [options] --server-key KEY --port PORT HOST [SERVICE...]\n"
    "       portsmith-knock SUBCOMMAND ...\n"
    "\n"
    "Knocks at SERVER, so that it opens SERVICE (tcp/22, udp/53; up to 4) to you.\n"
    "Without a SERVICE: what the server's file says, or all that your profile permits.\n"
    "\n"
    "  -4                    knock at IPv4 addresses only\n"
    "  -6                    knock at IPv6 addresses only\n"
    "  --address ADDRESS     auto, observed, or the IP address to open to\n"
    "  --close               close instead of open\n"
    "  --config FILE         the server's file, instead of SERVER\n"
    "  -h, --help            print this\n"
    "  --identity FILE       the file of your secret key\n"
    "  --output FILE         write the datagram to FILE or '-' instead of sending it\n"
    "  --port PORT           the knock port of HOST\n"
    "  --server-key KEY      the public key of HOST, instead of a server's file\n"
    "  --transport HOW       knock by udp, tcp-syn or icmp\n"
    "  -v                    say what is sent where\n"
    "  --version             print the version\n"
    "  --window SPAN         stay open this long: 30s, 10m, 2h\n"
    "\n"
    "Subcommands:\n"
    "  export [--with-secret-key] SERVER [FILE]\n"
    "                        write a bundle for another device\n"
    "  import FILE           read a bundle that was made for you, - for standard input\n"
    "  keygen [FILE]         make your identity\n"
    "  list [--json]         print the servers that you know\n"
    "  pubkey [FILE]         print the public key of your identity\n"
    "  show [--json] SERVER  print what is known of a server, without secrets\n";

/* As given, NULL where not. */
struct options {
    const char *address, *config, *identity, *output, *port, *server_key, *transport, *window;
    const char *print; /* help or version: print it, do nothing else */
    int family;        /* AF_UNSPEC, AF_INET or AF_INET6 */
    bool close, verbose;
    char **words; /* SERVER or HOST (unless `config`), then services */
    int word_count;
};

/* ---- which server -------------------------------------------------------- */

static int read_server(struct server *server, const char *name)
{
    struct error why;

    if (!known_check_name(name, &why))
        return cli_usage_error("%s", why.text);
    if (subcommand_exists(name))
        return cli_usage_error("'%s' is a subcommand and must come first; a server file of that "
                               "name is reached with --config", name);
    if (known_read(server, name, &why))
        return EXIT_SUCCESS;
    if (errno == ENOENT && subcommand_near(name))
        warnx("'%s' is no subcommand either; did you mean '%s'?", name, subcommand_near(name));
    return cli_failure(EX_CONFIG, &why);
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
    return o->server_key ? describe_server(server, o) : read_server(server, o->words[0]);
}

/* The command line's services take the place of the file's. */
static int take_services(struct server *server, const struct options *o)
{
    int first = o->config ? 0 : 1;
    struct error why;

    if (first < o->word_count)
        server->service_count = 0;
    for (int i = first; i < o->word_count; i++)
        if (!server_add_service(server, o->words[i], &why))
            return cli_usage_error("%s", why.text);
    return EXIT_SUCCESS;
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

/* All but the counter, and the address where that depends on the route. */
static struct request request_for(const struct server *server, const struct options *o)
{
    struct request r = {
        .action = o->close ? ACTION_CLOSE : ACTION_OPEN,
        .has_address = server->address.source == ADDRESS_GIVEN,
        .service_count = server->service_count,
        .window = o->close ? 0 : server->window,
    };

    if (r.has_address)
        r.address = server->address.given;
    memcpy(r.services, server->services, sizeof r.services);
    return r;
}

/* In plain words, for -v. */
static void tell(const char *done, size_t size, const char *where, const struct request *r)
{
    char services[REQUEST_SERVICES * (SERVICE_TEXT_SIZE + 1)] = "";
    char service[SERVICE_TEXT_SIZE], address[ADDRESS_TEXT_SIZE], window[TIMESPAN_TEXT_SIZE];

    for (size_t i = 0; i < r->service_count; i++) {
        strcat(services, i == 0 ? "" : " ");
        strcat(services, service_format(&r->services[i], service));
    }
    warnx("%s %zu bytes to %s: %s %s for %s%s%s%s", done, size, where,
          r->action == ACTION_CLOSE ? "close" : "open",
          r->service_count ? services : "all that the profile permits",
          r->has_address ? "the signed address " : "the address that the server observes",
          r->has_address ? address_format(&r->address, address) : "",
          r->action == ACTION_CLOSE ? "" : r->window ? ", window " : ", the profile's own window",
          r->window ? timespan_format(r->window, window) : "");
}

static bool take_counters(unsigned count, uint64_t *first, struct error *why)
{
    char directory[PATH_MAX];
    struct error warning;

    if (!path_state_directory(directory, why) ||
        !counter_take(directory, clock_wall_us(), count, first, &warning, why))
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

static void tell_sending(const struct sending *s, uint16_t port)
{
    char address[TARGET_TEXT_SIZE], where[TARGET_TEXT_SIZE + sizeof " port 65535 by tcp-syn"];

    target_format(&s->target, address);
    if (s->transport == TRANSPORT_ICMP)
        snprintf(where, sizeof where, "%s by icmp", address);
    else
        snprintf(where, sizeof where, "%s port %u%s", address, port,
                 s->transport == TRANSPORT_TCP_SYN ? " by tcp-syn" : "");
    if (s->sent)
        tell("sent", s->size, where, &s->request);
    else
        warnx("not sent to %s: %s", where, s->why.text);
}

static int knock_everywhere(const struct knocker *knocker, const struct server *server,
                            struct request *r, const struct options *o)
{
    struct sending sendings[TARGETS_MAX];
    struct target targets[TARGETS_MAX];
    unsigned count, sent;
    struct error why;

    count = target_resolve(targets, server->host, server->port, o->family, &why);
    if (count == 0 || !take_counters(count, &r->counter, &why))
        return cli_failure(EXIT_FAILURE, &why);
    sent = send_knocks(sendings, targets, count, knocker, r,
                       server->address.source == ADDRESS_AUTO);
    for (unsigned i = 0; o->verbose && i < count; i++)
        tell_sending(&sendings[i], server->port);
    if (sent == 0) {
        warnx("no knock was sent to %s: %s; check this machine's network", server->host,
              sendings[0].why.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int knock(const struct server *server, const struct options *o)
{
    struct error why;
    struct identity *identity = identity_read(server->identity, &why);
    struct knocker *knocker = identity ? knocker_new(identity, server, &why) : NULL;
    struct request r = request_for(server, o);
    int status;

    identity_free(identity);
    if (!knocker)
        return cli_failure(EX_CONFIG, &why);
    status = o->output ? write_knock(knocker, &r, o)
                       : knock_everywhere(knocker, server, &r, o);
    knocker_free(knocker);
    return status;
}

static int run_knock(const struct options *o)
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
        status = knock(server, o);
    server_free(server);
    return status;
}

/* ---- the command line ---------------------------------------------------- */

enum {
    OPTION_ADDRESS = 256,
    OPTION_CLOSE,
    OPTION_CONFIG,
    OPTION_IDENTITY,
    OPTION_OUTPUT,
    OPTION_PORT,
    OPTION_SERVER_KEY,
    OPTION_TRANSPORT,
    OPTION_VERSION,
    OPTION_WINDOW,
};

static const struct option long_options[] = {
    {"address", required_argument, NULL, OPTION_ADDRESS},
    {"close", no_argument, NULL, OPTION_CLOSE},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"help", no_argument, NULL, 'h'},
    {"identity", required_argument, NULL, OPTION_IDENTITY},
    {"output", required_argument, NULL, OPTION_OUTPUT},
    {"port", required_argument, NULL, OPTION_PORT},
    {"server-key", required_argument, NULL, OPTION_SERVER_KEY},
    {"transport", required_argument, NULL, OPTION_TRANSPORT},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {0},
};

static bool store_option(struct options *o, int option)
{
    switch (option) {
    case 'h':
        o->print = help;
        return true;
    case OPTION_VERSION:
        o->print = "portsmith-knock " PORTSMITH_VERSION "\n";
        return true;
    case '4':
    case '6':
        o->family = option == '4' ? AF_INET : AF_INET6;
        return true;
    case 'v':
        o->verbose = true;
        return true;
    case OPTION_CLOSE:
        o->close = true;
        return true;
    case OPTION_ADDRESS:
        o->address = optarg;
        return true;
    case OPTION_CONFIG:
        o->config = optarg;
        return true;
    case OPTION_IDENTITY:
        o->identity = optarg;
        return true;
    case OPTION_OUTPUT:
        o->output = optarg;
        return true;
    case OPTION_PORT:
        o->port = optarg;
        return true;
    case OPTION_SERVER_KEY:
        o->server_key = optarg;
        return true;
    case OPTION_TRANSPORT:
        o->transport = optarg;
        return true;
    case OPTION_WINDOW:
        o->window = optarg;
        return true;
    default: /* getopt_long has said what is wrong */
        return false;
    }
}

/* What only makes sense together, or not together. */
static int check_options(const struct options *o)
{
    if (o->config && o->server_key)
        return cli_usage_error("--config and --server-key exclude each other");
    if (o->port && !o->server_key)
        return cli_usage_error("--port goes with --server-key; a server's file has its own Port");
    if (o->close && o->window)
        return cli_usage_error("--close takes no --window");
    if (!o->config && o->word_count == 0)
        return cli_usage_error("%s is missing", o->server_key ? "HOST" : "SERVER");
    if (o->output && strcmp(o->output, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_usage_error("--output -: standard output is a terminal; send it to a file or "
                               "pipe");
    return EXIT_SUCCESS;
}

static int options_read(struct options *o, int argc, char **argv)
{
    int option;

    *o = (struct options){.family = AF_UNSPEC};
    while ((option = getopt_long(argc, argv, "46hv", long_options, NULL)) != -1) {
        if (!store_option(o, option))
            return cli_hint();
        if (o->print)
            return EXIT_SUCCESS;
    }
    o->words = argv + optind;
    o->word_count = argc - optind;
    return check_options(o);
}

static int run(int argc, char **argv)
{
    struct options o;
    int status;

    if (argc > 1 && subcommand_exists(argv[1]))
        return subcommand_run(argc, argv);
    status = options_read(&o, argc, argv);
    if (status != EXIT_SUCCESS)
        return status;
    if (o.print) {
        fputs(o.print, stdout);
        return EXIT_SUCCESS;
    }
    return run_knock(&o);
}

int main(int argc, char **argv)
{
    int status;

    if (sodium_init() < 0)
        errx(EXIT_FAILURE, "libsodium cannot be initialized");
    status = run(argc, argv);
    if (fflush(stdout) != 0) {
        warn("standard output");
        return EXIT_FAILURE;
    }
    return status;
}
