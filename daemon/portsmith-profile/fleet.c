#include "daemon/portsmith-profile/fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/text/command.h"
#include "common/text/keys.h"
#include "common/text/timespan.h"
#include "daemon/config/config.h"
#include "daemon/config/roster.h"
#include "daemon/config/rosterfile.h"
#include "daemon/portsmith-profile/enrol.h"

#define FLEET_KEY "fleet.key" /* in the current directory, as the next */
#define FLEET_SECRET "fleet.secret"

/* What the command line says; NULL where it does not. */
struct wishes {
    const char *config_file, *argument, *key, *output, *host, *server;
    bool json;
};

/* ---- init ---------------------------------------------------------------- */

static int init(const struct wishes *w)
{
    uint8_t seed[KEY_SIZE], secret[KEY_SIZE], signing[SIGNING_KEY_SIZE], public_key[KEY_SIZE];
    char text[KEY_TEXT_SIZE];
    bool made_key, made_secret;
    struct error why;
    bool ok = key_file_have(FLEET_KEY, seed, &made_key, &why) &&
              key_file_have(FLEET_SECRET, secret, &made_secret, &why);

    (void)w;
    if (ok)
        crypto_sign_seed_keypair(public_key, signing, seed);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(signing, sizeof signing);
    sodium_memzero(secret, sizeof secret);
    if (!ok)
        return command_fail(EXIT_FAILURE, why.text);
    printf("%s %s, which signs rosters: no host needs it\n"
           "%s %s: each host needs it beside its server.key, mode 600\n"
           "In portsmith.conf of each host, with the services that a roster may open there:\n"
           "    RosterKey = %s\n"
           "    RosterServices = tcp/22\n",
           made_key ? "made" : "kept", FLEET_KEY, made_secret ? "made" : "kept", FLEET_SECRET,
           key_format(public_key, text));
    return EXIT_SUCCESS;
}

/* ---- sign ---------------------------------------------------------------- */

static bool take_nothing(void *data, struct roster_profile *p, const char *place,
                         struct error *why)
{
    (void)data, (void)p, (void)place, (void)why;
    return true;
}

/* Whether hosts that used `old` would use the roster. */
static bool is_above(const struct roster *roster, struct rosterfile *old, const char *path,
                     struct error *why)
{
    struct roster before;
    bool ok = roster_read(&before, old->bytes, rosterfile_text_size(old), path, NULL, NULL, NULL,
                          why);

    if (ok && roster->version <= before.version)
        ok = error_set(why, "%s has Version %" PRIu64 ": give the new roster a higher one", path,
                       before.version);
    roster_free(&before);
    return ok;
}

/* Whether hosts would take the text of `size` bytes as a roster, after the one at `output`, if
 * there is one. */
static bool is_usable(char *text, size_t size, const char *path, const char *output,
                      const uint8_t keys[static 1][KEY_SIZE], struct error *why)
{
    char date[DATE_TEXT_SIZE];
    struct rosterfile old;
    struct roster roster;
    bool ok = roster_read(&roster, text, size, path, take_nothing, NULL, NULL, why);

    if (ok && roster.not_after <= clock_wall_ns() / NSEC_PER_SEC)
        ok = error_set(why, "%s: NotAfter = %s has passed already", path,
                       date_format(roster.not_after, date));
    if (ok && rosterfile_read(&old, output, keys, 1, why)) {
        ok = is_above(&roster, &old, output, why);
        free(old.bytes);
    } else if (ok) {
        ok = errno == ENOENT;
    }
    roster_free(&roster);
    return ok;
}

static bool sign_text(char *text, size_t size, const struct wishes *w,
                      const uint8_t signing[static SIGNING_KEY_SIZE], struct error *why)
{
    const char *output = w->output ? w->output : "roster";
    uint8_t keys[1][KEY_SIZE];
    struct rosterfile file;
    bool ok;

    crypto_sign_ed25519_sk_to_pk(keys[0], signing);
    if (!is_usable(text, size, w->argument, output, keys, why) ||
        !rosterfile_sign(&file, text, size, signing, why))
        return false;
    ok = file_put(output, 0644, file.bytes, file.size, why);
    free(file.bytes);
    if (ok)
        printf("made %s. Bring it to each host, as roster beside its server.key, and run there\n"
               "    portsmithctl reload\n", output);
    return ok;
}

static int sign(const struct wishes *w)
{
    uint8_t seed[KEY_SIZE], signing[SIGNING_KEY_SIZE];
    char *buffer = calloc(1, ROSTER_FILE_MAX + 1), *text = buffer;
    struct error why;
    ssize_t size;
    bool ok;

    if (!text)
        return command_fail(EXIT_FAILURE, "out of memory");
    size = file_read(w->argument, FILE_CONFIGURATION, text, ROSTER_FILE_MAX, &why);
    text += file_text(buffer) - buffer; /* an editor's mark must not follow the first line */
    size -= text - buffer;
    ok = size >= 0 && (size > 0 || error_set(&why, "%s: is empty", w->argument)) &&
         key_file_read(w->key ? w->key : FLEET_KEY, seed, &why);
    if (ok) {
        key_expand_client(signing, seed);
        ok = sign_text(text, (size_t)size, w, signing, &why);
        sodium_memzero(signing, sizeof signing);
        sodium_memzero(seed, sizeof seed);
    }
    free(buffer);
    return ok ? EXIT_SUCCESS : command_fail(EXIT_FAILURE, why.text);
}

/* ---- show ---------------------------------------------------------------- */

static json_t *key_json(const uint8_t key[static KEY_SIZE])
{
    char text[KEY_TEXT_SIZE];

    return json_string(key_format(key, text));
}

static json_t *date_json(int64_t end)
{
    char text[DATE_TEXT_SIZE];

    return end == 0 ? json_null() : json_string(date_format(end, text));
}

/* Adds the profile to an array. */
static bool add_json(void *data, struct roster_profile *p, const char *place, struct error *why)
{
    const struct helper_profile *policy = &p->draft.policy;
    json_t *services = json_array(), *groups = json_array();
    char service[SERVICE_TEXT_SIZE];

    for (unsigned i = 0; i < policy->service_count; i++)
        json_array_append_new(services,
                              json_string(service_format(&policy->services[i], service)));
    for (unsigned i = 0; i < p->group_count; i++)
        json_array_append_new(groups, json_string(p->groups[i]));
    return json_array_append_new(data, json_pack("{s:s, s:o, s:o, s:o, s:o}", "name", policy->name,
                                                 "public_key", key_json(policy->signer.public_key),
                                                 "services", services, "groups", groups, "expires",
                                                 date_json(policy->expires))) == 0 ||
           error_set(why, "%s: out of memory", place);
}

static void print_words(const char *before, const json_t *words)
{
    const json_t *word;
    size_t i;

    json_array_foreach(words, i, word) {
        printf("%s%s", i == 0 ? before : ",", json_string_value(word));
    }
}

static void print_roster(const struct roster *roster, const json_t *profiles)
{
    char date[DATE_TEXT_SIZE], key[KEY_TEXT_SIZE];
    const json_t *profile;
    size_t i;

    printf("version %" PRIu64 ", good until %s\n", roster->version,
           date_format(roster->not_after, date));
    json_array_foreach(profiles, i, profile) {
        printf("profile %s", json_string_value(json_object_get(profile, "name")));
        print_words(" ", json_object_get(profile, "services"));
        print_words(" at the hosts of ", json_object_get(profile, "groups"));
        putchar('\n');
    }
    for (i = 0; i < roster->revoked_count; i++)
        printf("revoked %s\n", key_format(roster->revoked[i], key));
}

static void print_json(const struct roster *roster, json_t *profiles)
{
    json_t *revoked = json_array(), *all;

    for (size_t i = 0; i < roster->revoked_count; i++)
        json_array_append_new(revoked, key_json(roster->revoked[i]));
    all = json_pack("{s:I, s:o, s:O, s:o}", "version", (json_int_t)roster->version, "not_after",
                    date_json(roster->not_after), "profiles", profiles, "revoked", revoked);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

/* Reads the keys to verify with, and where the roster is if that is not said, of the host. False
 * with the reason. */
static bool prepare_show(const struct wishes *w, struct config *c, char *path, struct error *why)
{
    struct error reason;

    if (!w->key && w->argument && access(w->config_file, F_OK) != 0 && errno == ENOENT)
        return error_set(why, "%s: no such file to name a RosterKey: add --key with the key that "
                              "roster init printed", w->config_file);
    if ((!w->key || !w->argument) && !config_read_main(c, w->config_file, why))
        return false;
    config_roster_path(c, path);
    if (!w->key)
        return c->roster_key_count > 0 ||
               error_set(why, "%s: has no RosterKey: add --key with the key that roster init "
                              "printed", w->config_file);
    c->roster_key_count = 1;
    return key_parse(c->roster_keys[0], w->key, &reason) ||
           error_set(why, "--key: %s", reason.text);
}

static int show(const struct wishes *w)
{
    struct config c = {.roster_key_count = 0};
    char path[CONFIG_PROFILE_PATH_SIZE];
    const char *file_path = w->argument ? w->argument : path;
    json_t *profiles = json_array();
    struct rosterfile file = {0};
    struct roster roster = {0};
    struct error why;
    bool ok = prepare_show(w, &c, path, &why) &&
              rosterfile_read(&file, file_path, c.roster_keys, c.roster_key_count, &why) &&
              roster_read(&roster, file.bytes, rosterfile_text_size(&file), file_path, add_json,
                          profiles, NULL, &why);

    if (ok && w->json)
        print_json(&roster, profiles);
    else if (ok)
        print_roster(&roster, profiles);
    json_decref(profiles);
    roster_free(&roster);
    free(file.bytes);
    return ok ? EXIT_SUCCESS : command_fail(EXIT_FAILURE, why.text);
}

/* ---- bundle -------------------------------------------------------------- */

/* Fills *e, which is all zero, with the roster's profile. False with the reason. */
static bool fill(struct enrolment *e, const struct config *c, const struct wishes *w,
                 struct error *why)
{
    const struct profile *p = config_find_profile(c, w->argument);
    char path[CONFIG_PROFILE_PATH_SIZE];
    uint8_t secret[KEY_SIZE];

    if (!p || !p->is_of_roster)
        return error_set(why, "the roster gives no profile '%s' here", w->argument);
    if (!key_file_read(config_fleet_secret_path(c, path), secret, why))
        return false;
    memcpy(&e->draft.policy, p->policy, helper_profile_size(p->policy));
    e->draft.profile = *p;
    e->draft.profile.policy = &e->draft.policy;
    roster_preshared(e->draft.preshared, secret, p->policy->signer.public_key);
    sodium_memzero(secret, sizeof secret);
    return (!w->host || enrol_set_host(e, w->host, why)) &&
           (!w->server || enrol_set_server(e, w->server, why)) && enrol_complete(e, why);
}

static int bundle(const struct wishes *w)
{
    struct enrolment *e = sodium_malloc(sizeof *e);
    char name[POLICY_NAME_SIZE + sizeof ".bundle"];
    const char *output = w->output ? w->output : name;
    struct error why;
    struct config *c = config_load(w->config_file, &why);
    bool ok = false;

    if (c && e) {
        memset(e, 0, sizeof *e);
        snprintf(name, sizeof name, "%.32s.bundle", w->argument);
        ok = fill(e, c, w, &why) && enrol_write_bundle(e, c, output, &why);
    } else if (c) {
        error_set(&why, "out of memory");
    }
    if (ok)
        printf("made %s, for the client %s. It holds the client's pre-shared key. Carry it "
               "over, read\nit there, then delete it on both sides:\n"
               "    portsmith-knock import FILE\n", output, w->argument);
    sodium_free(e);
    config_free(c);
    return ok ? EXIT_SUCCESS : command_fail(c ? EXIT_FAILURE : EX_CONFIG, why.text);
}

/* ---- the command line ---------------------------------------------------- */

static const struct part {
    const char *name;
    int (*run)(const struct wishes *w);
    const char *options; /* by their letters, below */
    int least, most;     /* arguments */
    const char *argument;
} parts[] = {
    {"init", init, "", 0, 0, "no argument"},
    {"sign", sign, "ko", 1, 1, "the file to sign"},
    {"show", show, "kj", 0, 1, "one roster, or none"},
    {"bundle", bundle, "hso", 1, 1, "the name of one profile"},
};

enum { COUNT_OF_OPTIONS = 5 };

static void take_option(struct wishes *w, int letter)
{
    switch (letter) {
    case 'k':
        w->key = optarg;
        break;
    case 'o':
        w->output = optarg;
        break;
    case 'h':
        w->host = optarg;
        break;
    case 's':
        w->server = optarg;
        break;
    default:
        w->json = true;
    }
}

int fleet_run(const char *config_file, int argc, char **argv)
{
    static const struct option options[] = {{"key", required_argument, NULL, 'k'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"host", required_argument, NULL, 'h'},
                                            {"server", required_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    struct wishes w = {.config_file = config_file};
    const char *given[COUNT_OF_OPTIONS] = {NULL};
    const struct part *part;
    int option, index;

    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option == '?')
            return command_hint();
        given[index] = options[index].name;
        take_option(&w, option);
    }
    part = command_find(parts, sizeof parts / sizeof *parts, sizeof *parts,
                        optind < argc ? argv[optind] : NULL);
    if (!part)
        return EXIT_USAGE;
    for (size_t i = 0; i < COUNT_OF_OPTIONS; i++)
        if (given[i] && !strchr(part->options, options[i].val))
            return command_misused("--%s is not for roster %s", given[i], part->name);
    argc -= ++optind;
    if (argc < part->least || argc > part->most)
        return command_misused("roster %s takes %s", part->name, part->argument);
    w.argument = argc > 0 ? argv[optind] : NULL;
    return part->run(&w);
}
