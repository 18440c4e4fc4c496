#include "subcommands.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "bundle.h"
#include "cli.h"
#include "file.h"
#include "identity.h"
#include "keys.h"
#include "paths.h"

/* FILE if given, else the default identity. */
static bool choose_identity(char path[static PATH_MAX], const char *given, struct error *why)
{
    if (!given)
        return path_identity(path, why);
    if (strlen(given) >= PATH_MAX)
        return error_set(why, "%.100s...: the path is too long", given);
    strcpy(path, given);
    return true;
}

/* The default identity's directory may not be there yet. */
static bool make_directory_for(const char *given, struct error *why)
{
    char directory[PATH_MAX];

    return given || (path_config_directory(directory, why) &&
                     file_make_directory(directory, 0700, why));
}

static int run_keygen(const char *given)
{
    char path[PATH_MAX], text[KEY_TEXT_SIZE];
    uint8_t public_key[KEY_SIZE];
    struct error why;

    if (!make_directory_for(given, &why) || !choose_identity(path, given, &why) ||
        !identity_create(path, public_key, &why))
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

static int run_pubkey(const char *given)
{
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
        return cli_failure(EXIT_FAILURE, &why);
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
        return cli_failure(EX_CONFIG, &why);
    status = unpack(bundle, given);
    bundle_free(bundle);
    return status;
}

bool subcommand_exists(const char *word)
{
    return find_subcommand(word);
}

int subcommand_run(int argc, char **argv)
{
    const struct subcommand *subcommand = find_subcommand(argv[1]);

    for (int i = 2; i < argc; i++)
        if (argv[i][0] == '-')
            return cli_usage_error("%s takes no options; '%s' is one", subcommand->name,
                                   argv[i]);
    if (argc > 3 || (subcommand->needs_file && argc < 3))
        return cli_usage_error("%s takes %s", subcommand->name,
                               subcommand->needs_file ? "one FILE" : "at most one FILE");
    return subcommand->run(argv[2]);
}
