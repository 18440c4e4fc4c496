#include "daemon/portsmith-profile/group.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/file.h"
#include "common/text/command.h"
#include "common/text/keys.h"
#include "daemon/config/config.h"
#include "daemon/host/origin.h"
#include "daemon/portsmith-profile/groupbundle.h"

/* Keys of this host, which its owner wipes. */
struct keys {
    uint8_t onetime[KEY_SIZE]; /* the secret half of the one-time key */
    uint8_t server[KEY_SIZE];  /* the server's secret key */
};

/* Reads portsmith.conf of a host that is to be a member. False with the reason. */
static bool read_group(struct config *c, const char *config_file, struct error *why)
{
    if (!config_read_main(c, config_file, why))
        return false;
    return c->group[0] != '\0' ||
           error_set(why, "%s: this host is of no group: add the lines 'Group = NAME' and 'Member "
                          "= HOST', the name by which clients knock at this host", config_file);
}

static void write_onetime_path(const struct config *c, char path[static CONFIG_PROFILE_PATH_SIZE])
{
    snprintf(path, CONFIG_PROFILE_PATH_SIZE, "%s/join.key", c->profile_directory);
}

/* Makes a secret key, unless it is there, and reads it. False with the reason. */
static bool have_key(const char *path, uint8_t key[static KEY_SIZE], bool *made, struct error *why)
{
    return key_file_have(path, key, made, why) ||
           (errno == ENOENT &&
            error_set(why, "%s: no such directory; run portsmith-profile init first", path));
}

static void tell_public_key(const uint8_t secret[static KEY_SIZE])
{
    uint8_t public_key[KEY_SIZE];
    char text[KEY_TEXT_SIZE];

    if (key_server_public(public_key, secret))
        printf("The server's public key is %s\n", key_format(public_key, text));
}

/* ---- create -------------------------------------------------------------- */

/* Makes the group's key on its first host. */
static int found(const struct config *c, struct keys *keys)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    struct error why;
    bool made;

    if (!have_key(config_key_path(c, path), keys->server, &made, &why) ||
        (made && !origin_put(c, &why)))
        return command_fail(EXIT_FAILURE, why.text);
    printf("%s server key %s, which is that of the group %s\n", made ? "made" : "kept", path,
           c->group);
    tell_public_key(keys->server);
    return EXIT_SUCCESS;
}

/* Writes the bundle for the host that has the one-time key. */
static int invite(const struct config *c, const uint8_t onetime[static KEY_SIZE],
                  const char *output, struct keys *keys)
{
    char path[CONFIG_PROFILE_PATH_SIZE], name[POLICY_NAME_SIZE + sizeof ".group"];
    char text[GROUP_TEXT_SIZE];
    struct group_bundle bundle;
    struct error why;
    size_t size;

    snprintf(name, sizeof name, "%s.group", c->group);
    if (!output)
        output = name;
    if (!key_file_read(config_key_path(c, path), keys->server, &why) ||
        !group_bundle_seal(&bundle, c->group, keys->server, onetime, &why))
        return command_fail(EXIT_FAILURE, why.text);
    size = group_bundle_format(&bundle, text);
    if (!file_create(output, 0600, text, size, &why))
        return command_fail(EXIT_FAILURE, why.text);
    printf("made %s, the group's key, which the new host alone can open. Carry it over, mode 600,\n"
           "open it there, then delete it on both sides:\n"
           "    portsmith-profile group join FILE\n", output);
    return EXIT_SUCCESS;
}

/* ---- join ---------------------------------------------------------------- */

/* Prints the public half of the one-time key, and nothing else, on standard output. */
static int ask_to_join(const struct config *c, struct keys *keys)
{
    char path[CONFIG_PROFILE_PATH_SIZE], text[KEY_TEXT_SIZE];
    uint8_t public_key[KEY_SIZE];
    struct error why;
    bool made;

    write_onetime_path(c, path);
    if (!have_key(path, keys->onetime, &made, &why))
        return command_fail(EXIT_FAILURE, why.text);
    if (!key_server_public(public_key, keys->onetime))
        return command_fail(EXIT_FAILURE, "the one-time key cannot be used");
    puts(key_format(public_key, text));
    fflush(stdout); /* before what follows on standard error */
    fprintf(stderr, "This is the one-time key of this host. On a member of the group %s, run\n"
                    "    portsmith-profile group create --for %s\n"
                    "and here, with the file that it makes,\n"
                    "    portsmith-profile group join FILE\n", c->group, text);
    if (access(config_key_path(c, path), F_OK) == 0)
        fprintf(stderr, "This host has a key already, which the group's cannot replace. If it is "
                        "not the group's,\nmove it away first; its clients are then shut out:\n"
                        "    mv %s %s.old\n", path, path);
    return EXIT_SUCCESS;
}

/* Makes the server's key, unless it is there already, as after a join that was cut short. False
 * with the reason, as where there is another key. */
static bool install_key(const struct config *c, const uint8_t secret[static KEY_SIZE],
                        struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    uint8_t there[KEY_SIZE];
    bool is_same;

    if (key_file_create(config_key_path(c, path), secret, why))
        return origin_put(c, why);
    if (errno != EEXIST || !key_file_read(path, there, why))
        return false;
    is_same = sodium_memcmp(there, secret, KEY_SIZE) == 0;
    sodium_memzero(there, sizeof there);
    return is_same ||
           error_set(why, "%s is another key, and is kept: its clients would be shut out. If that "
                          "is meant, run mv %s %s.old, then this again", path, path, path);
}

static bool open_bundle(const struct config *c, const char *path, struct keys *keys,
                        struct error *why)
{
    char onetime_path[CONFIG_PROFILE_PATH_SIZE];
    struct group_bundle bundle;

    if (!group_bundle_read(&bundle, path, why))
        return false;
    if (strcmp(bundle.name, c->group) != 0)
        return error_set(why, "%s is of the group %s, and Group of this host is %s", path,
                         bundle.name, c->group);
    write_onetime_path(c, onetime_path);
    if (!key_file_read(onetime_path, keys->onetime, why))
        return errno == ENOENT
                   ? error_set(why, "this host has no one-time key: run portsmith-profile group "
                                    "join, and have the bundle made for the key that it prints")
                   : false;
    return group_bundle_open(&bundle, keys->server, keys->onetime, path, why);
}

static int join(const struct config *c, const char *path, struct keys *keys)
{
    char onetime_path[CONFIG_PROFILE_PATH_SIZE];
    struct error why;

    write_onetime_path(c, onetime_path);
    if (!open_bundle(c, path, keys, &why) || !install_key(c, keys->server, &why) ||
        !file_remove(onetime_path, &why))
        return command_fail(EXIT_FAILURE, why.text);
    printf("this host, %s, has the key of the group %s\n", c->member, c->group);
    tell_public_key(keys->server);
    printf("It must be the PublicKey that the group's clients have. Delete %s, copy the profiles\n"
           "from another member, then start portsmithd or run portsmithctl reload.\n", path);
    return EXIT_SUCCESS;
}

/* ---- the command line ---------------------------------------------------- */

static int run(const char *config_file, int argc, char **argv, struct keys *keys)
{
    static const struct option options[] = {{"for", required_argument, NULL, 'f'},
                                            {"output", required_argument, NULL, 'o'},
                                            {0}};
    const char *onetime_text = NULL, *output = NULL, *word, *file;
    uint8_t onetime[KEY_SIZE];
    bool is_create;
    struct error why;
    struct config c;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return command_hint();
        *(option == 'f' ? &onetime_text : &output) = optarg;
    }
    word = argc > optind ? argv[optind++] : "";
    file = argc > optind ? argv[optind++] : NULL;
    is_create = strcmp(word, "create") == 0;
    if ((is_create ? file != NULL : strcmp(word, "join") != 0) || argc > optind)
        return command_misused("expected group create, group join or group join FILE");
    if (!is_create && (onetime_text || output))
        return command_misused("--for and --output are for group create");
    if (!onetime_text && output)
        return command_misused("--output goes with --for, the one-time key of the new host");
    if (onetime_text && !key_parse(onetime, onetime_text, &why)) {
        command_warn("--for: %s", why.text);
        return EXIT_USAGE;
    }
    if (!read_group(&c, config_file, &why))
        return command_fail(EX_CONFIG, why.text);
    if (is_create)
        return onetime_text ? invite(&c, onetime, output, keys) : found(&c, keys);
    return file ? join(&c, file, keys) : ask_to_join(&c, keys);
}

int group_run(const char *config_file, int argc, char **argv)
{
    struct keys *keys = sodium_malloc(sizeof *keys);
    int status;

    if (!keys)
        return command_fail(EXIT_FAILURE, "out of memory");
    status = run(config_file, argc, argv, keys);
    sodium_free(keys);
    return status;
}
