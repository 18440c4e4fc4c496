#include "client/knock/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/knock/pass.h"
#include "common/text/timespan.h"

enum { TIMEOUT = 10 }; /* seconds, without --timeout */

static const char help[] =
    "usage: portsmith-knock [options] SERVER [SERVICE...]\n"
    "       portsmith-knock [options] --config FILE [SERVICE...]\n"
    "       portsmith-knock [options] --server-key KEY --port PORT HOST [SERVICE...]\n"
    "       portsmith-knock [options] --connect HOST PORT\n"
    "       portsmith-knock SUBCOMMAND ...\n"
    "\n"
    "Knocks at SERVER, so that it opens SERVICE (tcp/22, udp/53; up to 4) to you.\n"
    "Without a SERVICE: those of the server file, or all that your profile permits.\n"
    "\n"
    "  -4                    knock at IPv4 addresses only\n"
    "  -6                    knock at IPv6 addresses only\n"
    "  --address ADDRESS     auto, observed, or the IP address to open to\n"
    "  --agent PATH          the socket of the ssh-agent that signs\n"
    "  --close               end what an earlier knock opened\n"
    "  --config FILE         the server file, instead of SERVER\n"
    "  --connect             knock for tcp/PORT and connect to it, as a ProxyCommand\n"
    "  --diagnose            knock step by step, and say what is wrong\n"
    "  -h, --help            print this\n"
    "  --identity FILE       the file of your identity\n"
    "  --output FILE         write the datagram to FILE or '-' instead of sending it\n"
    "  --pass                with --connect: pass the socket on (ProxyUseFdpass yes)\n"
    "  --port PORT           the knock port of HOST\n"
    "  --relay               with --connect: carry bytes in any case\n"
    "  --server-key KEY      the public key of HOST, instead of a server file\n"
    "  --timeout SPAN        how long to try to connect: 10s\n"
    "  --transport HOW       knock by udp, tcp-syn or icmp\n"
    "  -v                    say what is sent where\n"
    "  -V, --version         print the version\n"
    "  --wait                knock, and end when the port is open\n"
    "  --window SPAN         stay open this long: 30s, 10m, 2h\n"
    "\n"
    "Subcommands:\n"
    "  export [--with-secret-key] SERVER [FILE]\n"
    "                        write a bundle for another device\n"
    "  import FILE           read a bundle that was made for you, - for standard input\n"
    "  keygen [FILE]         make your identity\n"
    "  list [--json]         print the servers that you know\n"
    "  pubkey [FILE]         print the public key of your identity\n"
    "  show [--json] SERVER  print what is known of a server, without secrets\n"
    "\n"
    "For example: portsmith-knock --wait home tcp/22 && ssh home\n"
    "The manual is portsmith-knock(1).\n";

enum {
    OPTION_ADDRESS = 256,
    OPTION_AGENT,
    OPTION_CLOSE,
    OPTION_CONFIG,
    OPTION_CONNECT,
    OPTION_DIAGNOSE,
    OPTION_IDENTITY,
    OPTION_OUTPUT,
    OPTION_PASS,
    OPTION_PORT,
    OPTION_RELAY,
    OPTION_SERVER_KEY,
    OPTION_TIMEOUT,
    OPTION_TRANSPORT,
    OPTION_WAIT,
    OPTION_WINDOW,
};

static const struct option long_options[] = {
    {"address", required_argument, NULL, OPTION_ADDRESS},
    {"agent", required_argument, NULL, OPTION_AGENT},
    {"close", no_argument, NULL, OPTION_CLOSE},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"connect", no_argument, NULL, OPTION_CONNECT},
    {"diagnose", no_argument, NULL, OPTION_DIAGNOSE},
    {"help", no_argument, NULL, 'h'},
    {"identity", required_argument, NULL, OPTION_IDENTITY},
    {"output", required_argument, NULL, OPTION_OUTPUT},
    {"pass", no_argument, NULL, OPTION_PASS},
    {"port", required_argument, NULL, OPTION_PORT},
    {"relay", no_argument, NULL, OPTION_RELAY},
    {"server-key", required_argument, NULL, OPTION_SERVER_KEY},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"transport", required_argument, NULL, OPTION_TRANSPORT},
    {"version", no_argument, NULL, 'V'},
    {"wait", no_argument, NULL, OPTION_WAIT},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {0},
};

/* Stores an option that takes no argument. False if it is none of these. */
static bool store_flag(struct options *o, int option)
{
    switch (option) {
    case 'h':
        o->print = help;
        return true;
    case 'V':
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
    case OPTION_CONNECT:
        o->connect = true;
        return true;
    case OPTION_DIAGNOSE:
        o->diagnose = true;
        return true;
    case OPTION_PASS:
        o->pass = true;
        return true;
    case OPTION_RELAY:
        o->relay = true;
        return true;
    case OPTION_WAIT:
        o->wait = true;
        return true;
    default: /* getopt_long has said what is wrong */
        return false;
    }
}

/* Where the argument of an option is stored. NULL if the option takes none. */
static const char **place_of(struct options *o, int option)
{
    switch (option) {
    case OPTION_ADDRESS:
        return &o->address;
    case OPTION_AGENT:
        return &o->agent;
    case OPTION_CONFIG:
        return &o->config;
    case OPTION_IDENTITY:
        return &o->identity;
    case OPTION_OUTPUT:
        return &o->output;
    case OPTION_PORT:
        return &o->port;
    case OPTION_SERVER_KEY:
        return &o->server_key;
    case OPTION_TIMEOUT:
        return &o->timeout;
    case OPTION_TRANSPORT:
        return &o->transport;
    case OPTION_WINDOW:
        return &o->window;
    default:
        return NULL;
    }
}

bool options_connect(const struct options *o)
{
    return o->wait || o->connect;
}

static int check_connecting(const struct options *o)
{
    const char *name = o->wait ? "--wait" : "--connect";

    if (o->wait && o->connect)
        return cli_usage_error("--wait and --connect exclude each other");
    if (o->close || o->output)
        return cli_usage_error("%s takes no %s", name, o->close ? "--close" : "--output");
    if (o->connect && o->word_count != (o->config ? 1 : 2))
        return cli_usage_error("--connect takes %s", o->config ? "a PORT" : "HOST and PORT");
    return EXIT_SUCCESS;
}

/* Checks which options go together. */
static int check_company(const struct options *o)
{
    const char *undiagnosed = o->wait      ? "--wait"
                              : o->connect ? "--connect"
                              : o->close   ? "--close"
                              : o->output  ? "--output"
                                           : NULL;

    if (o->config && o->server_key)
        return cli_usage_error("--config and --server-key exclude each other");
    if (o->port && !o->server_key)
        return cli_usage_error("--port goes with --server-key; a server file has its own Port");
    if (o->close && o->window)
        return cli_usage_error("--close takes no --window");
    if (o->diagnose && undiagnosed)
        return cli_usage_error("--diagnose takes no %s", undiagnosed);
    if (o->timeout && !options_connect(o) && !o->diagnose)
        return cli_usage_error("--timeout goes with --wait, --connect or --diagnose");
    if ((o->pass || o->relay) && !o->connect)
        return cli_usage_error("%s goes with --connect", o->pass ? "--pass" : "--relay");
    return options_connect(o) ? check_connecting(o) : EXIT_SUCCESS;
}

static int check_options(const struct options *o)
{
    int status = check_company(o);
    struct error why;

    if (status != EXIT_SUCCESS)
        return status;
    if (!o->config && o->word_count == 0)
        return cli_usage_error("%s is missing", o->server_key ? "HOST" : "SERVER");
    if (o->output && strcmp(o->output, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_usage_error("--output -: standard output is a terminal; redirect it to a file "
                               "or a pipe");
    if (o->pass && !o->relay && !pass_is_possible(STDOUT_FILENO, &why))
        return cli_usage_error("--pass: %s", why.text);
    return EXIT_SUCCESS;
}

int options_read(struct options *o, int argc, char **argv)
{
    struct error why;
    int option, status;

    *o = (struct options){.family = AF_UNSPEC, .seconds = TIMEOUT};
    while ((option = getopt_long(argc, argv, "46hvV", long_options, NULL)) != -1) {
        const char **place = place_of(o, option);

        if (place)
            *place = optarg;
        else if (!store_flag(o, option))
            return cli_point_to_help();
        if (o->print)
            return EXIT_SUCCESS;
    }
    o->words = argv + optind;
    o->word_count = argc - optind;
    status = check_options(o);
    if (status == EXIT_SUCCESS && o->timeout && !timespan_parse(&o->seconds, o->timeout, &why))
        return cli_usage_error("--timeout: %s", why.text);
    return status;
}
