#include "options.h"

#include <err.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char help[] =
    "Usage: portsmith-knock [options] SERVER [SERVICE...]\n"
    "       portsmith-knock [options] --config FILE [SERVICE...]\n"
    "       portsmith-knock [options] --server-key KEY --port PORT HOST [SERVICE...]\n"
    "       portsmith-knock keygen [FILE]\n"
    "       portsmith-knock pubkey [FILE]\n"
    "       portsmith-knock import FILE\n"
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
    "  -v                    say what is sent where\n"
    "  --version             print the version\n"
    "  --window SPAN         stay open this long: 30s, 10m, 2h\n"
    "\n"
    "  keygen   make your identity\n"
    "  pubkey   print the public key of your identity\n"
    "  import   read a bundle that the server's admin made for you\n";

static const char hint[] = "Try 'portsmith-knock --help'.\n";

int usage_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vwarnx(format, arguments);
    va_end(arguments);
    fputs(hint, stderr);
    return EXIT_USAGE;
}

enum {
    OPTION_ADDRESS = 256,
    OPTION_CLOSE,
    OPTION_CONFIG,
    OPTION_IDENTITY,
    OPTION_OUTPUT,
    OPTION_PORT,
    OPTION_SERVER_KEY,
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
        return usage_error("--config and --server-key exclude each other");
    if (o->port && !o->server_key)
        return usage_error("--port goes with --server-key; a server's file has its own Port");
    if (o->close && o->window)
        return usage_error("--close takes no --window");
    if (!o->config && o->word_count == 0)
        return usage_error(o->server_key ? "HOST is missing" : "SERVER is missing");
    if (o->output && strcmp(o->output, "-") == 0 && isatty(STDOUT_FILENO))
        return usage_error("--output -: standard output is a terminal; send it to a file or pipe");
    return EXIT_SUCCESS;
}

int options_read(struct options *o, int argc, char **argv)
{
    int option;

    *o = (struct options){.family = AF_UNSPEC};
    while ((option = getopt_long(argc, argv, "46hv", long_options, NULL)) != -1) {
        if (!store_option(o, option)) {
            fputs(hint, stderr);
            return EXIT_USAGE;
        }
        if (o->print)
            return EXIT_SUCCESS;
    }
    o->words = argv + optind;
    o->word_count = argc - optind;
    return check_options(o);
}
