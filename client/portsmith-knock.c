/* portsmith-knock(1): asks a server to open its doors. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "bundle.h"
#include "clock.h"
#include "counter.h"
#include "file.h"
#include "identity.h"
#include "keys.h"
#include "knock.h"
#include "paths.h"
#include "send.h"
#include "server.h"
#include "target.h"
#include "timespan.h"

enum { EXIT_USAGE = 2 };

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

/* As given, NULL where not. */
struct options {
    const char *address, *config, *identity, *output, *port, *server_key, *window;
    const char *print; /* help or version: print it, do nothing else */
    int family;        /* AF_UNSPEC, AF_INET or AF_INET6 */
    bool close, verbose;
    char **words; /* SERVER or HOST (unless `config`), then services */
    int word_count;
};

static const char hint[] = "Try 'portsmith-knock --help'.\n";

__attribute__((format(printf, 1, 2))) static int usage_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vwarnx(format, arguments);
    va_end(arguments);
    fputs(hint, stderr);
    return EXIT_USAGE;
}

static int failure(int status, const struct error *why)
{
    warnx("%s", why->text);
    return status;
}

/* ---- subcommands --------------------------------------------------------- */

/* FILE if given, else the default identity; its directory is made on demand. */
static bool identity_path(char path[static PATH_MAX], const char *given, bool make_directory,
                          struct error *why)
{
    char directory[PATH_MAX];

    if (given) {
        if (strlen(given) >= PATH_MAX)
            return error_set(why, "%.100s...: the path is too long", given);
        strcpy(path, given);
        return true;
    }
    return path_config_directory(directory, why) &&
           (!make_directory || file_make_directory(directory, 0700, why)) &&
           path_join(path, directory, "identity", "", why);
}

static int run_keygen(const char *given)
{
    char path[PATH_MAX], text[KEY_TEXT_SIZE];
    uint8_t public_key[KEY_SIZE];
    struct error why;

    if (!identity_path(path, given, true, &why) || !identity_create(path, public_key, &why))
        return failure(EXIT_FAILURE, &why);
    key_format(public_key, text);
    printf("Your identity is in %s. Keep it secret, and on this device only.\n"
           "Its public key: %s\n"
           "On the server, run as root, with a NAME for this device and the HOST that it\n"
           "reaches the server by:\n"
           "    portsmith-profile add NAME --public-key %s --open tcp/22 --host HOST\n",
           path, text, text);
    return EXIT_SUCCESS;
}

static int run_pubkey(const char *given)
{
    char path[PATH_MAX], text[KEY_TEXT_SIZE];
    struct identity *identity;
    struct error why;

    if (!identity_path(path, given, false, &why))
        return failure(EXIT_FAILURE, &why);
    identity = identity_read(path, &why);
    if (!identity)
        return failure(EX_CONFIG, &why);
    puts(key_format(identity->public_key, text));
    identity_free(identity);
    return EXIT_SUCCESS;
}

static int run_import(const char *given);

static const struct subcommand {
    const char *name;
    int (*run)(const char *given);
    bool needs_file;
} subcommands[] = {
    {"import", run_import, true},
    {"keygen", run_keygen, false},
    {"pubkey", run_pubkey, false},
};

static const struct subcommand *find_subcommand(const char *word)
{
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        if (strcmp(subcommands[i].name, word) == 0)
            return &subcommands[i];
    return NULL;
}

static int unpack(const struct bundle *bundle, const char *path)
{
    char directory[PATH_MAX], key[PATH_MAX], conf[PATH_MAX];
    struct error why;

    if (find_subcommand(bundle->name)) {
        warnx("%s: a server cannot be named '%s', which is a subcommand; give the bundle another "
              "Name", path, bundle->name);
        return EX_CONFIG;
    }
    if (!path_config_directory(directory, &why) ||
        !bundle_unpack(bundle, directory, key, conf, &why))
        return failure(EXIT_FAILURE, &why);
    printf("Made %s and %s.\n"
           "Now delete %s, here and on the server: it holds your secret key.\n"
           "To knock: portsmith-knock %s\n",
           conf, key, path, bundle->name);
    return EXIT_SUCCESS;
}

static int run_import(const char *given)
{
    struct error why;
    struct bundle *bundle = bundle_read(given, &why);
    int status;

    if (!bundle)
        return failure(EX_CONFIG, &why);
    status = unpack(bundle, given);
    bundle_free(bundle);
    return status;
}

static int run_subcommand(const struct subcommand *subcommand, int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (argv[i][0] == '-')
            return usage_error("%s takes no options; '%s' is one", subcommand->name, argv[i]);
    if (argc > 3 || (subcommand->needs_file && argc < 3))
        return usage_error("%s takes %s", subcommand->name,
                           subcommand->needs_file ? "one FILE" : "at most one FILE");
    return subcommand->run(argv[2]);
}

/* ---- which server -------------------------------------------------------- */

static int is_server_file(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);

    return size > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + size - 5, ".conf") == 0;
}

static int unknown_server(const char *path, const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_server_file, alphasort);

    fprintf(stderr, "%s: there is no server file %s; ", program_invocation_short_name, path);
    if (count <= 0)
        fputs("no server is known yet: write the file, or run 'portsmith-knock import FILE'\n",
              stderr);
    for (int i = 0; i < count; i++) {
        fprintf(stderr, "%s%.*s%s", i == 0 ? "known servers: " : ", ",
                (int)strlen(entries[i]->d_name) - 5, entries[i]->d_name,
                i == count - 1 ? "\n" : "");
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return EX_CONFIG;
}

static int read_server(struct server *server, const char *name)
{
    char directory[PATH_MAX], path[PATH_MAX];
    struct error why;

    if (!server_name_is_valid(name))
        return usage_error("'%s' is not a SERVER: expected the name of a file in "
                           "~/.config/portsmith, without its .conf", name);
    if (find_subcommand(name))
        return usage_error("'%s' is a subcommand and must come first; a server file of that name "
                           "is reached with --config", name);
    if (!path_config_directory(directory, &why) ||
        !path_join(path, directory, name, ".conf", &why))
        return failure(EXIT_FAILURE, &why);
    if (server_read(server, path, &why))
        return EXIT_SUCCESS;
    return errno == ENOENT ? unknown_server(path, directory) : failure(EX_CONFIG, &why);
}

static int take_option(struct server *server, const char *option, const char *value,
                       bool (*set)(void *server, const char *value, struct error *why))
{
    struct error why;

    if (!value || set(server, value, &why))
        return EXIT_SUCCESS;
    return usage_error("%s: %s", option, why.text);
}

/* A server without a file: HOST, --server-key and --port. */
static int describe_server(struct server *server, const struct options *o)
{
    char identity[PATH_MAX];
    struct error why;
    int status;

    if (!o->port)
        return usage_error("--server-key needs --port too: the knock port of HOST");
    if (!identity_path(identity, NULL, false, &why) ||
        !server_set_identity(server, identity, &why))
        return failure(EXIT_FAILURE, &why);
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
        return server_read(server, o->config, &why) ? EXIT_SUCCESS : failure(EX_CONFIG, &why);
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
            return usage_error("%s", why.text);
    return EXIT_SUCCESS;
}

static int take_options(struct server *server, const struct options *o)
{
    int status = take_option(server, "--window", o->window, server_set_window);

    if (status == EXIT_SUCCESS)
        status = take_option(server, "--address", o->address, server_set_address);
    if (status == EXIT_SUCCESS)
        status = take_option(server, "--identity", o->identity, server_set_identity);
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
        return failure(EXIT_FAILURE, &why);
    size = knock_make(datagram, knocker, r);
    if (standard && !file_write_all(STDOUT_FILENO, datagram, size)) {
        warn("standard output");
        return EXIT_FAILURE;
    }
    if (!standard && !file_create(o->output, 0600, datagram, size, &why))
        return failure(EXIT_FAILURE, &why);
    if (o->verbose)
        tell("wrote", size, standard ? "standard output" : o->output, r);
    return EXIT_SUCCESS;
}

static void tell_sending(const struct sending *s, const struct target *target, uint16_t port)
{
    char address[TARGET_TEXT_SIZE], where[TARGET_TEXT_SIZE + sizeof " port 65535"];

    snprintf(where, sizeof where, "%s port %u", target_format(target, address), port);
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
        return failure(EXIT_FAILURE, &why);
    sent = send_knocks(sendings, targets, count, knocker, r,
                       server->address.source == ADDRESS_AUTO);
    for (unsigned i = 0; o->verbose && i < count; i++)
        tell_sending(&sendings[i], &targets[i], server->port);
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
        return failure(EX_CONFIG, &why);
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
        return failure(EXIT_FAILURE, &why);
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

static int options_read(struct options *o, int argc, char **argv)
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

static int run(int argc, char **argv)
{
    const struct subcommand *subcommand = argc > 1 ? find_subcommand(argv[1]) : NULL;
    struct options o;
    int status;

    if (subcommand)
        return run_subcommand(subcommand, argc, argv);
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
