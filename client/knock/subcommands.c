#include "client/knock/subcommands.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/bundle.h"
#include "client/cli.h"
#include "client/identity.h"
#include "client/knock/ask.h"
#include "client/knock/listing.h"
#include "client/knock/subcommandnames.h"
#include "client/known.h"
#include "client/paths.h"
#include "common/file.h"
#include "common/text/keys.h"

enum { WORDS_MAX = 2 };

/* What a subcommand is given. */
struct call {
    const char *words[WORDS_MAX]; /* NULL where there are fewer */
    bool option;                  /* whether its one option is given */
};

/* ---- identities ---------------------------------------------------------- */

/* Writes the path of the identity: `given`, or that of the default identity if `given` is NULL. */
static bool choose_identity(char path[static PATH_MAX], const char *given, struct error *why)
{
    if (!given)
        return path_identity(path, why);
    if (strlen(given) >= PATH_MAX)
        return error_set(why, "%.100s...: the path is too long", given);
    strcpy(path, given);
    return true;
}

static int run_keygen(const struct call *call)
{
    const char *given = call->words[0];
    char directory[PATH_MAX], path[PATH_MAX], text[KEY_TEXT_SIZE];
    uint8_t public_key[KEY_SIZE];
    struct error why;

    if (!given && (!path_config_directory(directory, &why) ||
                   !file_make_directory(directory, 0700, &why)))
        return cli_failure(EXIT_FAILURE, &why);
    if (!choose_identity(path, given, &why) || !identity_create(path, public_key, &why))
        return cli_failure(EXIT_FAILURE, &why);
    key_format(public_key, text);
    printf("Your identity is in %s. Keep it secret, and on this device only.\n"
           "Its public key: %s\n"
           "On the server, run as root, with a NAME for this device and the HOST that it\n"
           "reaches the server by:\n"
           "    portsmith-profile add NAME --public-key %s --open tcp/22 --host HOST\n",
           path, text, text);
    return EXIT_SUCCESS;
}

static int run_pubkey(const struct call *call)
{
    const char *given = call->words[0];
    char path[PATH_MAX], text[KEY_TEXT_SIZE];
    struct identity *identity;
    struct error why;

    if (!choose_identity(path, given, &why))
        return cli_failure(EXIT_FAILURE, &why);
    identity = identity_read(path, &why);
    if (!identity)
        return cli_failure(EX_CONFIG, &why);
    puts(key_format(identity->public_key, text));
    identity_free(identity);
    return EXIT_SUCCESS;
}

/* ---- bundles ------------------------------------------------------------- */

static bool is_for_another_host(const char *name, const char *host)
{
    struct error unread;
    struct server *server = server_new(&unread);
    bool is_read = server && known_read(server, name, &unread);
    bool is_another = is_read && strcasecmp(server->host, host) != 0;

    server_free(server);
    return is_another;
}

/* Stores the name of the file that --connect finds by the bundle's Host so far, and would find no
 * longer: it prefers the file that has this Host. False if there is no such file. */
static bool find_displaced(char name[static SERVER_NAME_SIZE], const struct bundle *bundle)
{
    const char *host = bundle->server.host;
    struct error unread;
    struct known known;
    bool found = false;

    if (!known_find(&known, &unread))
        return false;
    for (size_t i = 0; i < known.count && !found; i++) {
        found = strcasecmp(known.names[i], host) == 0 && is_for_another_host(known.names[i], host);
        if (found)
            strcpy(name, known.names[i]);
    }
    known_free(&known);
    return found;
}

/* Asks the user on the terminal, as standard input may be the bundle. `reason` says why, and
 * `change` names what can be changed instead. True if the user agrees. */
static bool agrees(const char *path, const char *reason, const char *question, const char *change)
{
    char asked[PATH_MAX + 1024], answer[8];

    snprintf(asked, sizeof asked, "%s: %s.\n%s? [y/N] ", path, reason, question);
    if (!ask_user(asked, answer, sizeof answer)) {
        warnx("%s: %s: run import on a terminal to be asked, or change %s", path, reason, change);
        return false;
    }
    if (answer[0] == 'y' || answer[0] == 'Y')
        return true;
    warnx("%s: nothing was made; change %s", path, change);
    return false;
}

/* A bundle may be called "github.com" and have its Host elsewhere: then ssh_config's %h might lead
 * there. */
static bool agrees_to_name(const struct bundle *bundle, const char *path)
{
    char reason[2 * SERVER_HOST_SIZE + 100], question[SERVER_NAME_SIZE + 10];

    if (!strchr(bundle->name, '.') || strcasecmp(bundle->name, bundle->server.host) == 0)
        return true;
    snprintf(reason, sizeof reason,
             "its Host is %s, but its Name, %s, looks like that of another host",
             bundle->server.host, bundle->name);
    snprintf(question, sizeof question, "Call it %s", bundle->name);
    return agrees(path, reason, question, "Name in the bundle");
}

static bool agrees_to_host(const struct bundle *bundle, const char *path)
{
    char reason[2 * SERVER_HOST_SIZE + 100], change[SERVER_NAME_SIZE + 20];
    char displaced[SERVER_NAME_SIZE];

    if (!find_displaced(displaced, bundle))
        return true;
    snprintf(reason, sizeof reason,
             "its Host is %s, by which --connect would take it in place of your file %s.conf",
             bundle->server.host, displaced);
    snprintf(change, sizeof change, "Host in %s.conf", displaced);
    return agrees(path, reason, "Import it", change);
}

static int unpack(const struct bundle *bundle, const char *path)
{
    const char *file = strcmp(path, FILE_STANDARD_INPUT) == 0 ? "the bundle" : path;
    char directory[PATH_MAX], key[PATH_MAX], conf[PATH_MAX], line[SSH_KEY_LINE_SIZE];
    struct error why;

    if (subcommand_exists(bundle->name)) {
        warnx("%s: a server cannot be named '%s', which is a subcommand; give the bundle another "
              "Name", path, bundle->name);
        return EX_CONFIG;
    }
    if (!agrees_to_name(bundle, path) || !agrees_to_host(bundle, path))
        return EX_CONFIG;
    if (!path_config_directory(directory, &why) ||
        !bundle_unpack(bundle, directory, key, conf, &why))
        return cli_failure(EXIT_FAILURE, &why);
    if (bundle->has_secret)
        printf("Made %s and %s.\n"
               "Now delete %s, here and where it came from: it holds your identity.\n",
               conf, key, file);
    else if (bundle->server.has_ssh_key)
        printf("Made %s. Knocks are signed by your ssh-agent, with this key:\n    %s\n"
               "Now delete %s, here and where it came from: it holds a PresharedKey.\n",
               conf, ssh_key_format(&bundle->server.ssh_key, line), file);
    else
        printf("Made %s. There is no identity in %s, so knocks use your own.\n"
               "If the server's admin does not have it yet: 'portsmith-knock pubkey' prints it.\n"
               "%s", conf, file,
               bundle->server.has_preshared
                   ? "Then delete the bundle, here and where it came from: it holds a "
                     "PresharedKey.\n"
                   : "");
    printf("To knock: portsmith-knock %s\n", bundle->name);
    return EXIT_SUCCESS;
}

static int run_import(const struct call *call)
{
    bool standard = strcmp(call->words[0], "-") == 0;
    const char *path = standard ? FILE_STANDARD_INPUT : call->words[0];
    struct error why;
    struct bundle *bundle = standard ? bundle_read_from(dup(STDIN_FILENO), path, &why)
                                     : bundle_read(path, &why);
    int status;

    if (!bundle)
        return cli_failure(EX_CONFIG, &why);
    cli_tell_notes(&bundle->server.notes);
    status = unpack(bundle, path);
    bundle_free(bundle);
    return status;
}

static int write_bundle(const struct bundle *bundle, const char *path)
{
    bool standard = !path || strcmp(path, "-") == 0;
    char text[BUNDLE_TEXT_SIZE];
    size_t size = bundle_format(bundle, text);
    struct error why;
    bool written;

    written = standard ? file_write_all(STDOUT_FILENO, text, size) ||
                             error_set(&why, "standard output: %s", strerror(errno))
                       : file_create(path, 0600, text, size, &why);
    sodium_memzero(text, sizeof text);
    if (!written)
        return cli_failure(EXIT_FAILURE, &why);
    if (!standard)
        printf("Made %s. %s\nOn the other device: portsmith-knock import FILE\n", path,
               bundle->has_secret
                   ? "It holds your identity. Use it on one device only: two devices\n"
                     "with one key can shut each other out. Delete it once it is imported."
               : bundle->server.has_ssh_key
                   ? "It holds a PresharedKey: delete it once it is imported. Two devices\n"
                     "that knock with one key at the same time can shut each other out."
                   : "It holds no secret: the other device needs an identity of its own.");
    return EXIT_SUCCESS;
}

static int export(const struct server *server, const struct call *call)
{
    bool has_identity = call->option && !server->has_ssh_key;
    struct error why;
    struct identity *identity = has_identity ? identity_read(server->identity, &why) : NULL;
    struct bundle *bundle;
    int status;

    cli_tell_notes(&server->notes);
    if (has_identity && !identity)
        return cli_failure(EX_CONFIG, &why);
    bundle = bundle_of_server(call->words[0], server, call->option, identity, &why);
    status = bundle ? write_bundle(bundle, call->words[1]) : cli_failure(EXIT_FAILURE, &why);
    bundle_free(bundle);
    identity_free(identity);
    return status;
}

static int run_export(const struct call *call)
{
    struct server *server;
    struct error why;
    int status;

    if (call->option && !call->words[1] && !isatty(STDOUT_FILENO))
        return cli_usage_error("export: standard output is not a terminal; name the FILE for the "
                               "identity, or '-' for standard output");
    if (!known_check_name(call->words[0], &why))
        return cli_usage_error("%s", why.text);
    if (subcommand_exists(call->words[0]))
        return cli_usage_error("export: '%s' is a subcommand, and no device can import a server of "
                               "that name; rename its file", call->words[0]);
    server = server_new(&why);
    if (!server)
        return cli_failure(EXIT_FAILURE, &why);
    status = known_read(server, call->words[0], &why) ? export(server, call)
                                                      : cli_failure(EX_CONFIG, &why);
    server_free(server);
    return status;
}

/* ---- listings ------------------------------------------------------------ */

static int run_list(const struct call *call)
{
    return listing_all(call->option);
}

static int run_show(const struct call *call)
{
    struct error why;

    if (!known_check_name(call->words[0], &why))
        return cli_usage_error("%s", why.text);
    return listing_one(call->words[0], call->option);
}

/* ---- the command line ---------------------------------------------------- */

static const struct option no_option[] = {{0}};
static const struct option json_option[] = {{"json", no_argument, NULL, 'j'}, {0}};
static const struct option secret_option[] = {{"with-secret-key", no_argument, NULL, 's'}, {0}};

static const struct syntax {
    int (*run)(const struct call *call);
    const struct option *options; /* one at most */
    int least, most;              /* how many words */
    const char *takes;            /* the words, for people */
} syntaxes[SUBCOMMANDS] = {
    [SUBCOMMAND_EXPORT] = {run_export, secret_option, 1, 2, "one SERVER and at most one FILE"},
    [SUBCOMMAND_IMPORT] = {run_import, no_option, 1, 1, "one FILE"},
    [SUBCOMMAND_KEYGEN] = {run_keygen, no_option, 0, 1, "at most one FILE"},
    [SUBCOMMAND_LIST] = {run_list, json_option, 0, 0, "no arguments"},
    [SUBCOMMAND_PUBKEY] = {run_pubkey, no_option, 0, 1, "at most one FILE"},
    [SUBCOMMAND_SHOW] = {run_show, json_option, 1, 1, "one SERVER"},
};

int subcommand_run(int argc, char **argv)
{
    const struct syntax *syntax = &syntaxes[subcommand_find(argv[1])];
    const char *name = argv[1];
    struct call call = {.option = false};
    int option;

    argv[1] = argv[0]; /* getopt_long begins its messages with the first word */
    argc--;
    argv++;
    while ((option = getopt_long(argc, argv, "", syntax->options, NULL)) != -1) {
        if (option == '?')
            return cli_point_to_help();
        call.option = true;
    }
    if (argc - optind < syntax->least || argc - optind > syntax->most)
        return cli_usage_error("%s takes %s", name, syntax->takes);
    for (int i = optind; i < argc; i++)
        call.words[i - optind] = argv[i];
    return syntax->run(&call);
}
