/* portsmith-profile: sets a server up and keeps its clients' profiles. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/text/command.h"
#include "common/text/keys.h"
#include "common/text/timespan.h"
#include "daemon/ask/ask.h"
#include "daemon/config/config.h"
#include "daemon/config/pidfile.h"
#include "daemon/config/profilekeys.h"
#include "daemon/host/warning.h"
#include "daemon/portsmith-profile/answer.h"
#include "daemon/portsmith-profile/authorized.h"
#include "daemon/portsmith-profile/enrol.h"
#include "daemon/portsmith-profile/fleet.h"
#include "daemon/portsmith-profile/group.h"
#include "daemon/portsmith-profile/setup.h"

enum { USAGE_SIZE = 4096 };

/* What --help prints. Between the two texts stand the options of profile_keys. */
static const char usage[] =
    "usage: portsmith-profile [-c FILE] COMMAND [ARGUMENT...]\n"
    "\n"
    "  init [--interface NAME] [--port PORT] [--shut SERVICE]\n"
    "                       make what is missing: configuration, key, user\n"
    "  add NAME --public-key KEY --open SERVICE [OPTION...]\n"
    "                       let in a client that has made its own key\n"
    "  add [NAME...] --ssh-key FILE|LINE --open SERVICE [OPTION...] [--output FILE]\n"
    "                       let in clients by the lines of their ssh keys\n"
    "  create NAME --open SERVICE [OPTION...] [--output FILE]\n"
    "                       make the client's key here, and a bundle to carry over\n"
    "  create NAME --qr [--with-psk] --open SERVICE [OPTION...]\n"
    "                       show a QR code, and let in the app that makes its key by it\n"
    "  list [--json]        one line for each profile\n"
    "  show NAME            all of one profile\n"
    "  revoke NAME [--kill] remove a profile\n"
    "  group join           print a one-time key, by which this host can join its group\n"
    "  group create [--for KEY [--output FILE]]\n"
    "                       make the group's key, or a bundle of it for that host\n"
    "  group join FILE      open the bundle\n"
    "  roster init          make the key and the secret of a fleet, here\n"
    "  roster sign FILE [--key FILE] [--output FILE]\n"
    "                       sign a roster: profiles of many hosts\n"
    "  roster show [--key KEY] [--json] [FILE]\n"
    "                       what a roster holds\n"
    "  roster bundle NAME [--host HOST] [--server NAME] [--output FILE]\n"
    "                       make the bundle of one of its clients, on a host\n"
    "\n"
    "options of add and create:\n";

static const char rest_of_usage[] =
    "  --host HOST          how clients reach this server\n"
    "  --server NAME        how clients call this server\n"
    "\n"
    "option of revoke:\n"
    "  --kill               end the grants, and the connections made through them, too\n"
    "\n"
    "  -c, --config FILE    instead of " CONFIG_FILE "\n"
    "  -h, --help           print this and exit\n"
    "  -V, --version        print the version and exit\n"
    "\n"
    "SERVICE is tcp/PORT or udp/PORT, or several with commas between; of a host behind\n"
    "this one, 'tcp/PORT -> ADDRESS:PORT'.\n"
    "\n"
    "For example: portsmith-profile add laptop --public-key KEY --open tcp/22\n"
    "The manual is portsmith-profile(8).\n";

static void tell_daemon(const struct config *c)
{
    pid_t pid = pidfile_owner(c->run_directory);

    if (pid == 0)
        return;
    if (kill(pid, SIGHUP) == 0)
        fprintf(stderr, "portsmithd (process %d) was told to reload.\n", (int)pid);
    else
        command_warn("portsmithd (process %d) could not be told to reload: %m; run portsmithctl "
                     "reload", (int)pid);
}

/* ---- arguments ----------------------------------------------------------------- */

/* Takes the name of a profile, which is the one argument of most commands. Returns 0 or an exit
 * status. */
static int take_name(int argc, char **argv, const char **name)
{
    if (argc - optind < 1)
        return command_misused("expected the name of a profile");
    if (argc - optind > 1)
        return command_misused("expected one name; write several services with commas between");
    *name = argv[optind];
    if (!profile_name_is_valid(*name))
        return command_misused("a profile's name has 1 to 32 of a-z, 0-9 and -");
    return 0;
}

/* The options from OPTION_KEY on are the profile's keys, in the order of profile_keys. */
enum option_kind { OPTION_HOST = 256, OPTION_SERVER, OPTION_OUTPUT, OPTION_SSH_KEY, OPTION_QR,
                   OPTION_WITH_PSK, OPTION_OLD_SHUT, OPTION_KEY };

enum { OPTIONS_MAX = 40 };

/* Fills `options` with those of add, or of create. */
static void list_options(struct option options[static OPTIONS_MAX], bool adds)
{
    static const struct option host = {"host", required_argument, NULL, OPTION_HOST},
                               server = {"server", required_argument, NULL, OPTION_SERVER},
                               output = {"output", required_argument, NULL, OPTION_OUTPUT},
                               ssh_key = {"ssh-key", required_argument, NULL, OPTION_SSH_KEY},
                               qr = {"qr", no_argument, NULL, OPTION_QR},
                               with_psk = {"with-psk", no_argument, NULL, OPTION_WITH_PSK};
    size_t count = 0;

    memset(options, 0, OPTIONS_MAX * sizeof *options);
    for (int i = 0; profile_keys[i].option && count < OPTIONS_MAX - 6; i++)
        if (adds || (strcmp(profile_keys[i].option, "public-key") != 0 &&
                     strcmp(profile_keys[i].option, "require") != 0))
            options[count++] = (struct option){
                profile_keys[i].option, profile_keys[i].value ? required_argument : no_argument,
                NULL, OPTION_KEY + i};
    options[count++] = host;
    options[count++] = server;
    options[count++] = output;
    if (adds) {
        options[count++] = ssh_key;
    } else {
        options[count++] = qr;
        options[count++] = with_psk;
    }
}

static void make_preshared(struct profile_draft *draft)
{
    draft->profile.has_preshared = true;
    randombytes_buf(draft->preshared, KEY_SIZE);
}

/* Sets a key of the profile by its option. The one option that takes no value is that of the
 * pre-shared key, which is made here. */
static bool set_key(struct profile_draft *draft, const struct profile_key *key, const char *value,
                    struct error *why)
{
    struct settings_notes notes = {0};
    struct error reason;
    char option[32];

    if (key->value) {
        snprintf(option, sizeof option, "--%s", key->option);
        if (!profile_set(draft, option, key->setting.key, value, &notes, &reason))
            return error_set(why, "%s: %.400s", option, reason.text);
        warning_of_old_words(&notes, warning_print, NULL);
        return true;
    }
    make_preshared(draft);
    return true;
}

struct enrolment_arguments {
    struct enrolment *e;
    const char *output;  /* NULL: NAME.bundle */
    const char *ssh_key; /* what --ssh-key says, or NULL */
    bool reads_key;      /* --public-key is - */
    bool qr, with_psk;
};

/* Whether an option with its argument is --public-key -. */
static bool is_read(const struct profile_key *key)
{
    return strcmp(key->option, "public-key") == 0 && strcmp(optarg, "-") == 0;
}

static bool take_option(struct enrolment_arguments *a, int kind, struct error *why)
{
    switch (kind) {
    case OPTION_HOST:
        return enrol_set_host(a->e, optarg, why);
    case OPTION_SERVER:
        return enrol_set_server(a->e, optarg, why);
    case OPTION_OUTPUT:
        a->output = optarg;
        return true;
    case OPTION_SSH_KEY:
        a->ssh_key = optarg;
        return true;
    case OPTION_QR:
        a->qr = true;
        return true;
    case OPTION_WITH_PSK:
        a->with_psk = true;
        return true;
    default:
        if (is_read(&profile_keys[kind - OPTION_KEY])) {
            a->reads_key = true;
            return true;
        }
        return set_key(&a->e->draft, &profile_keys[kind - OPTION_KEY], optarg, why);
    }
}

/* A file may hold a day that has passed since, a new profile may not. The error begins with
 * `says`. */
static bool is_in_time(const struct helper_profile *p, const char *says, struct error *why)
{
    char date[DATE_TEXT_SIZE];

    return p->expires == 0 || p->expires > clock_wall_ns() / NSEC_PER_SEC ||
           error_set(why, "%s %s has passed already", says, date_format(p->expires, date));
}

static int parse_enrolment(int argc, char **argv, bool adds, struct enrolment_arguments *a)
{
    struct helper_profile *p = &a->e->draft.policy;
    struct option options[OPTIONS_MAX];
    struct error why;
    const char *name;
    int kind, status;

    list_options(options, adds);
    while ((kind = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (kind == '?')
            return command_hint();
        if (!take_option(a, kind, &why))
            return command_fail(EXIT_USAGE, why.text);
    }
    if (!is_in_time(p, "--expires:", &why))
        return command_fail(EXIT_USAGE, why.text);
    if (!a->ssh_key) {
        status = take_name(argc, argv, &name);
        if (status != 0)
            return status;
        strcpy(p->name, name);
    }
    if (p->service_count == 0)
        return command_misused("expected --open SERVICE, such as --open tcp/22");
    return enrol_complete(a->e, &why) ? 0 : command_fail(EXIT_FAILURE, why.text);
}

/* ---- commands ------------------------------------------------------------------ */

static int run_init(const char *config_file, int argc, char **argv)
{
    static const struct option options[] = {{"interface", required_argument, NULL, 0},
                                            {"port", required_argument, NULL, 0},
                                            {"shut", required_argument, NULL, 0},
                                            {"close", required_argument, NULL, OPTION_OLD_SHUT},
                                            {0}};
    struct setup setup = {0};
    struct error why;
    int kind, index, status;

    while ((kind = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (kind == '?')
            return command_hint();
        if (kind == OPTION_OLD_SHUT)
            command_tell_old_word("--close", "--shut");
        if (!config_set(&setup.wishes, options[index].name, optarg, &why)) {
            command_warn("--%s: %s", options[index].name, why.text);
            return EXIT_USAGE;
        }
        setup.any = true;
    }
    if (command_refuse_arguments(argc) != 0)
        return EXIT_USAGE;
    status = setup_run(config_file, &setup, &why);
    return status == 0 ? 0 : command_fail(status, why.text);
}

enum { BUNDLE_PATH_SIZE = POLICY_NAME_SIZE + sizeof ".bundle" };

/* The bundle's path: `output`, or in `name` what is made of the profile's name. */
static const char *bundle_path(const struct enrolment *e, const char *output,
                               char name[static BUNDLE_PATH_SIZE])
{
    snprintf(name, BUNDLE_PATH_SIZE, "%s.bundle", e->draft.policy.name);
    return output ? output : name;
}

static void tell_bundle(const struct enrolment *e, const char *output)
{
    char name[BUNDLE_PATH_SIZE];
    const char *path = bundle_path(e, output, name);

    printf("made profile %s and its bundle %s\n"
           "The bundle holds %s. Carry it over, read it there, then delete\n"
           "it on both sides:\n"
           "    scp %s CLIENT:\n"
           "    portsmith-knock import FILE\n",
           e->draft.policy.name, path,
           e->draft.profile.ssh_key ? "the client's pre-shared key" : "the client's identity",
           path);
}

/* Removes all `count` profiles, and the bundles of the first `written` of them. */
static void take_back(const struct enrolment *all, size_t count, size_t written,
                      const char *output, const struct config *c)
{
    char name[BUNDLE_PATH_SIZE];
    struct error why;

    for (size_t i = 0; i < count; i++) {
        if (!enrol_remove(c, all[i].draft.policy.name, &why))
            command_warn("%s", why.text);
        if (i < written && !file_remove(bundle_path(&all[i], output, name), &why))
            command_warn("%s", why.text);
    }
}

/* Writes a bundle for each profile, and says what to do with them once all are there. Where one
 * fails no profile of this run stays, and no bundle. Returns an exit status. */
static int write_bundles(const struct enrolment *all, size_t count, const char *output,
                         const struct config *c)
{
    char name[BUNDLE_PATH_SIZE];
    struct error why;
    size_t written = 0;

    while (written < count &&
           enrol_write_bundle(&all[written], c, bundle_path(&all[written], output, name), &why))
        written++;
    if (written < count) {
        command_warn("%s; no profile is added", why.text);
        take_back(all, count, written, output, c);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < count; i++)
        tell_bundle(&all[i], output);
    return EXIT_SUCCESS;
}

static bool name_is_free(const struct enrolment *all, size_t count)
{
    const char *name = all[count].draft.policy.name;

    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].draft.policy.name, name) == 0) {
            command_misused("two keys would be profile '%s': give a name for each key", name);
            return false;
        }
    return true;
}

/* Gives each profile the name that is given, or that of its key's comment. False, having said
 * why. */
static bool name_all(struct enrolment *all, const struct authorized_key *keys, size_t count,
                     int name_count, char **names)
{
    if (name_count > 0 && (size_t)name_count != count) {
        command_misused("there are %zu keys and %d names: give as many, or none, and the keys' "
                        "comments become the names", count, name_count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char *name = all[i].draft.policy.name;

        if (name_count > 0 && !profile_name_is_valid(names[i])) {
            command_misused("a profile's name has 1 to 32 of a-z, 0-9 and -");
            return false;
        }
        if (name_count > 0)
            strcpy(name, names[i]);
        else
            authorized_name(name, &keys[i]);
        if (!name_is_free(all, i))
            return false;
    }
    return true;
}

/* Makes of *base an enrolment for each key, with a pre-shared key of its own. False, having said
 * why. */
static bool enrol_keys(struct enrolment *all, const struct enrolment *base,
                       const struct authorized_key *keys, size_t count, const char *path)
{
    const char *place = authorized_place(path);
    struct error why;

    for (size_t i = 0; i < count; i++) {
        struct profile_draft *draft = &all[i].draft;

        all[i] = *base;
        draft->profile.policy = &draft->policy;
        make_preshared(draft);
        if (!authorized_apply(&keys[i], draft, &why) ||
            !is_in_time(&draft->policy, "option expiry-time: its last whole day", &why)) {
            command_warn("%.300s:%u: %s", place, keys[i].line, why.text);
            return false;
        }
        if (keys[i].is_shortened)
            command_warn("%.300s:%u: expiry-time is not midnight in UTC, where a profile's day "
                         "ends: the profile is good until %s", place, keys[i].line,
                         keys[i].expires);
    }
    return true;
}

/* Tells the clients' side: of one key as add does, of several by a bundle for each. */
static int hand_out(const struct enrolment_arguments *a, const struct enrolment *all, size_t count,
                    const struct config *c)
{
    if (count > 1 || a->output)
        return write_bundles(all, count, a->output, c);
    enrol_print_server(all, c);
    return EXIT_SUCCESS;
}

static int add_keys(struct enrolment_arguments *a, const struct authorized_key *keys, size_t count,
                    int name_count, char **names)
{
    struct enrolment *all = sodium_allocarray(count, sizeof *all);
    struct config *c = NULL;
    struct error why;
    int status = EXIT_USAGE;

    if (!all)
        return command_fail(EXIT_FAILURE, "out of memory");
    if (enrol_keys(all, a->e, keys, count, a->ssh_key) &&
        name_all(all, keys, count, name_count, names)) {
        c = enrol_add(all, count, &status, &why);
        status = c ? hand_out(a, all, count, c) : command_fail(status, why.text);
    }
    if (status == EXIT_SUCCESS)
        tell_daemon(c);
    config_free(c);
    sodium_free(all);
    return status;
}

static int add_ssh_keys(struct enrolment_arguments *a, int argc, char **argv)
{
    struct authorized_key *keys;
    struct error why;
    size_t count;
    int status;

    if (a->reads_key || !sodium_is_zero(a->e->draft.policy.signer.public_key, KEY_SIZE))
        return command_misused("--ssh-key and --public-key exclude each other");
    if (!authorized_read(&keys, &count, a->ssh_key, &why))
        return command_fail(EXIT_USAGE, why.text);
    if (a->output && count > 1)
        status = command_misused("--output is for one key, and there are %zu: each gets its bundle "
                                 "as NAME.bundle", count);
    else
        status = add_keys(a, keys, count, argc - optind, argv + optind);
    free(keys);
    return status;
}

static int add_profile(struct enrolment_arguments *a, int argc, char **argv)
{
    struct error why;
    struct config *c;
    int status = parse_enrolment(argc, argv, true, a);

    if (status != 0)
        return status;
    if (a->ssh_key)
        return add_ssh_keys(a, argc, argv);
    if (a->output)
        return command_misused("--output is for create, and for --ssh-key");
    if (a->reads_key && !answer_read(&a->e->draft, stdin, &why))
        return command_fail(EXIT_FAILURE, why.text);
    if (a->e->draft.profile.ssh_key)
        return command_misused("--public-key: an ssh key is given as --ssh-key");
    if (sodium_is_zero(a->e->draft.policy.signer.public_key, KEY_SIZE))
        return command_misused("expected --public-key KEY, as portsmith-knock keygen prints it");
    c = enrol_add(a->e, 1, &status, &why);
    if (!c)
        return command_fail(status, why.text);
    enrol_print_server(a->e, c);
    tell_daemon(c);
    config_free(c);
    return EXIT_SUCCESS;
}

/* Shows the code, with a warning before it where it holds a secret. False with the reason. */
static bool show_code(const struct enrolment *e, const struct config *c, struct error *why)
{
    if (e->draft.profile.has_preshared)
        command_warn("warning: the code holds the pre-shared key: let nobody else see it. Who has "
                     "a copy can open nothing by it, but can read the client's knocks if its key "
                     "is an ssh key, or if the public keys are broken one day");
    if (!enrol_print_code(e, c, why))
        return false;
    puts("Scan this code with the app that is to knock. The app makes its own key: give its\n"
         "public key here, as one line. Until then nothing is made.");
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    error_set(why, "standard output: %s", strerror(errno));
    __fpurge(stdout); /* or command_finish says it again */
    return false;
}

/* Says how to go on without an answer. */
static int tell_unanswered(const struct enrolment *e, const struct error *why)
{
    if (e->draft.profile.has_preshared)
        command_warn("%s; nothing is made, and the pre-shared key of the code is forgotten: show "
                     "another code", why->text);
    else
        command_warn("%s; nothing is made. The code stays valid: once you have the public key, "
                     "give it to portsmith-profile add %s --public-key, with the same other "
                     "options",
                     why->text, e->draft.policy.name);
    return EXIT_FAILURE;
}

/* Adds the profile of a client that has made its key by the code. */
static int add_answered(const struct enrolment *e)
{
    struct error why;
    struct config *c;
    int status;

    if (e->draft.profile.ssh_key && !e->draft.profile.has_preshared)
        return command_fail(EXIT_FAILURE, "this is an ssh key, whose knocks a pre-shared key "
                                          "hides: nothing is made; show another code, with "
                                          "--with-psk");
    c = enrol_add(e, 1, &status, &why);
    if (!c)
        return command_fail(status, why.text);
    printf("made profile %s: its client can knock now\n", e->draft.policy.name);
    tell_daemon(c);
    config_free(c);
    return EXIT_SUCCESS;
}

/* The pre-shared key that is shown is kept in memory until the answer is there. */
static int create_by_code(const struct enrolment_arguments *a)
{
    struct profile_draft *draft = &a->e->draft;
    struct error why;
    struct config *c;
    bool is_shown;
    int status;

    if (a->output)
        return command_misused("--qr and --output exclude each other: a code goes to no file");
    if (draft->profile.has_preshared)
        return command_misused("--preshared-key: with --qr that is --with-psk, as the code shows "
                               "the key");
    if (a->with_psk)
        make_preshared(draft);
    c = enrol_prepare(a->e, &status, &why);
    if (!c)
        return command_fail(status, why.text);
    is_shown = show_code(a->e, c, &why);
    config_free(c);
    if (!is_shown)
        return command_fail(EXIT_FAILURE, why.text);
    return answer_read(draft, stdin, &why) ? add_answered(a->e) : tell_unanswered(a->e, &why);
}

/* Makes the client's key here. */
static int create_with_key(struct enrolment_arguments *a)
{
    uint8_t signing[SIGNING_KEY_SIZE];
    struct error why;
    struct config *c;
    int status;

    randombytes_buf(a->e->client_secret, KEY_SIZE);
    key_expand_client(signing, a->e->client_secret);
    crypto_sign_ed25519_sk_to_pk(a->e->draft.policy.signer.public_key, signing);
    sodium_memzero(signing, sizeof signing);
    c = enrol_add(a->e, 1, &status, &why);
    if (!c)
        return command_fail(status, why.text);
    status = write_bundles(a->e, 1, a->output, c);
    if (status == EXIT_SUCCESS)
        tell_daemon(c);
    config_free(c);
    return status;
}

static int create_profile(struct enrolment_arguments *a, int argc, char **argv)
{
    int status = parse_enrolment(argc, argv, false, a);

    if (status != 0)
        return status;
    if (a->qr)
        return create_by_code(a);
    return a->with_psk ? command_misused("--with-psk goes with --qr; for a bundle the option is "
                                         "--preshared-key")
                       : create_with_key(a);
}

/* Calls `enrol` with an empty enrolment in locked memory, and returns its exit status. */
static int with_enrolment(int (*enrol)(struct enrolment_arguments *a, int argc, char **argv),
                          const char *config_file, int argc, char **argv)
{
    struct enrolment_arguments a = {.e = sodium_malloc(sizeof *a.e)};
    int status;

    if (!a.e)
        return command_fail(EXIT_FAILURE, "out of memory");
    memset(a.e, 0, sizeof *a.e);
    profile_begin(&a.e->draft);
    a.e->config_file = config_file;
    status = enrol(&a, argc, argv);
    sodium_free(a.e);
    return status;
}

static int run_add(const char *config_file, int argc, char **argv)
{
    return with_enrolment(add_profile, config_file, argc, argv);
}

static int run_create(const char *config_file, int argc, char **argv)
{
    return with_enrolment(create_profile, config_file, argc, argv);
}

enum { COLUMNS = 7, CELL_SIZE = 448 };

struct row {
    char cells[COLUMNS][CELL_SIZE];
};

static void add_word(char cell[static CELL_SIZE], const char *word)
{
    size_t used = strlen(cell);

    snprintf(cell + used, CELL_SIZE - used, "%s%s", used > 0 ? "," : "", word);
}

/* What signs the knocks, by the signer's form. */
static const char *const signers[] = {"identity", "ssh-agent", "security-key"};

static void fill_row(struct row *row, const struct profile *profile)
{
    char service[SERVICE_TEXT_SIZE], prefix[PREFIX_TEXT_SIZE], date[DATE_TEXT_SIZE];
    const struct helper_profile *p = profile->policy;

    memset(row, 0, sizeof *row);
    strcpy(row->cells[0], p->name);
    for (unsigned i = 0; i < p->service_count; i++)
        add_word(row->cells[1], service_format(&p->services[i], service));
    timespan_format(p->window, row->cells[2]);
    strcpy(row->cells[3], p->needs_signed_address ? "signed" : "any");
    for (unsigned i = 0; i < p->prefix_count; i++)
        add_word(row->cells[3], prefix_format(&p->prefixes[i], prefix));
    strcpy(row->cells[4], p->expires != 0 ? date_format(p->expires, date) : "never");
    sodium_bin2hex(row->cells[5], CELL_SIZE, profile->key_id, KEY_ID_SIZE);
    strcpy(row->cells[6], signers[p->signer.form]);
}

static void print_row(const struct row *row, const size_t widths[static COLUMNS])
{
    for (unsigned i = 0; i < COLUMNS - 1; i++)
        printf("%-*s  ", (int)widths[i], row->cells[i]);
    puts(row->cells[COLUMNS - 1]);
}

static void widen(size_t widths[static COLUMNS], const struct row *row)
{
    for (unsigned i = 0; i < COLUMNS; i++)
        if (strlen(row->cells[i]) > widths[i])
            widths[i] = strlen(row->cells[i]);
}

static void print_table(const struct config *c)
{
    static const struct row heading = {
        {"NAME", "SERVICES", "WINDOW", "ADDRESS", "EXPIRES", "KEY ID", "SIGNED BY"}};
    size_t widths[COLUMNS] = {0};
    struct row row;

    widen(widths, &heading);
    for (size_t i = 0; i < c->profile_count; i++) {
        fill_row(&row, &c->profiles[i]);
        widen(widths, &row);
    }
    print_row(&heading, widths);
    for (size_t i = 0; i < c->profile_count; i++) {
        fill_row(&row, &c->profiles[i]);
        print_row(&row, widths);
    }
}

static json_t *profile_json(const struct profile *profile)
{
    char service[SERVICE_TEXT_SIZE], prefix[PREFIX_TEXT_SIZE], date[DATE_TEXT_SIZE];
    char key_id[2 * KEY_ID_SIZE + 1];
    const struct helper_profile *p = profile->policy;
    json_t *services = json_array(), *addresses = json_array();

    for (unsigned i = 0; i < p->service_count; i++)
        json_array_append_new(services, json_string(service_format(&p->services[i], service)));
    json_array_append_new(addresses, json_string(p->needs_signed_address ? "signed" : "any"));
    for (unsigned i = 0; i < p->prefix_count; i++)
        json_array_append_new(addresses, json_string(prefix_format(&p->prefixes[i], prefix)));
    sodium_bin2hex(key_id, sizeof key_id, profile->key_id, KEY_ID_SIZE);
    return json_pack("{s:s, s:o, s:I, s:o, s:s?, s:s, s:s}", "name", p->name, "services", services,
                     "window", (json_int_t)p->window, "addresses", addresses, "expires",
                     p->expires != 0 ? date_format(p->expires, date) : NULL, "key_id", key_id,
                     "signed_by", signers[p->signer.form]);
}

static void print_json(const struct config *c)
{
    json_t *profiles = json_array();

    for (size_t i = 0; i < c->profile_count; i++)
        json_array_append_new(profiles, profile_json(&c->profiles[i]));
    json_dumpf(profiles, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(profiles);
}

static int run_list(const char *config_file, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    bool json = false;
    struct error why;
    struct config *c;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return command_hint();
        json = true;
    }
    if (command_refuse_arguments(argc) != 0)
        return EXIT_USAGE;
    c = config_load(config_file, &why);
    if (!c)
        return command_fail(EX_CONFIG, why.text);
    if (json)
        print_json(c);
    else
        print_table(c);
    config_free(c);
    return EXIT_SUCCESS;
}

static int show_profile(const struct config *c, const char *name)
{
    const struct profile *p = config_find_profile(c, name);

    if (!p) {
        command_warn("%s: there is no profile '%s'", c->profile_directory, name);
        return EXIT_FAILURE;
    }
    config_print_profile(c, p, stdout);
    return EXIT_SUCCESS;
}

static int run_show(const char *config_file, int argc, char **argv)
{
    const char *name;
    struct error why;
    struct config *c;
    int status;

    if (command_refuse_options(argc, argv) != 0 || take_name(argc, argv, &name) != 0)
        return EXIT_USAGE;
    c = config_load(config_file, &why);
    if (!c)
        return command_fail(EX_CONFIG, why.text);
    status = show_profile(c, name);
    config_free(c);
    return status;
}

/* Stores the key id of the profile; zeros where that is not known. */
static void find_key_id(const char *config_file, const char *name,
                        uint8_t key_id[static KEY_ID_SIZE])
{
    struct error unused;
    struct config *c = config_load(config_file, &unused);
    const struct profile *p = c ? config_find_profile(c, name) : NULL;

    memset(key_id, 0, KEY_ID_SIZE);
    if (p)
        memcpy(key_id, p->key_id, KEY_ID_SIZE);
    config_free(c);
}

/* Warns of profiles of the roster that a file with that name and key kept from counting. Returns an
 * exit status. */
static int warn_of_roster(const struct config *c, const char *name,
                          const uint8_t key_id[static KEY_ID_SIZE])
{
    int status = EXIT_SUCCESS;

    for (size_t i = 0; i < c->profile_count; i++) {
        const struct profile *p = &c->profiles[i];

        if (!p->is_of_roster || (strcmp(p->policy->name, name) != 0 &&
                                 memcmp(p->key_id, key_id, KEY_ID_SIZE) != 0))
            continue;
        command_warn("the roster gives a profile '%s' with the same %s, which counts now: to "
                     "revoke it, add a line Revoke to the roster's text, and sign it",
                     p->policy->name, memcmp(p->key_id, key_id, KEY_ID_SIZE) == 0 ? "key" : "name");
        status = EXIT_FAILURE;
    }
    return status;
}

/* Warns if the rest of the configuration is broken, or lets the client in again. A portsmithd that
 * cannot read the rest still lets the removed client go. Returns an exit status. */
static int warn_of_rest(const char *config_file, const char *name,
                        const uint8_t key_id[static KEY_ID_SIZE])
{
    struct error why;
    struct config *c = config_load(config_file, &why);
    int status;

    if (!c) {
        command_warn("the profile is gone, but nothing else can be changed, and portsmithd cannot "
                     "be started, until this is fixed: %s", why.text);
        return EX_CONFIG;
    }
    status = warn_of_roster(c, name, key_id);
    config_free(c);
    return status;
}

static int remove_profile(const struct config *c, const char *name)
{
    struct error why;

    if (!enrol_remove(c, name, &why))
        return command_fail(EXIT_FAILURE, why.text);
    printf("removed profile %s\n", name);
    fflush(stdout); /* before what follows on standard error */
    return EXIT_SUCCESS;
}

struct ended {
    uint32_t grants, connections;
};

/* Ends the profile's grants and their connections, by CONTROL_CLOSE or CONTROL_REVOKE, and adds to
 * *sum what was ended. */
static enum ask_result end_grants(const struct config *c, const char *name,
                                  enum control_verb verb, struct ended *sum, struct error *why)
{
    struct control_request request = {.verb = verb, .scope = HELPER_SCOPE_PROFILE, .kill = 1};
    static struct control_reply reply;
    enum ask_result result;

    strcpy(request.profile, name);
    result = ask(c, &request, &reply, why);
    if (result == ASK_DONE) {
        sum->grants += reply.closed;
        sum->connections += reply.ended;
    }
    return result;
}

/* Says that connections may be left, as nobody ended them. Returns an exit status. */
static int tell_not_ended(const struct config *c, enum ask_result result, const struct error *why)
{
    if (result == ASK_NOT_RUNNING && pidfile_owner(c->run_directory) == 0)
        return command_fail(EXIT_FAILURE,
                            "portsmithd does not run, so no connection was ended; if it was "
                            "killed, its grants end at their deadlines. ss -tnp shows who is "
                            "connected");
    command_warn("connections made with it may be left: %s. ss -tnp shows who is connected; "
                 "portsmithctl close --kill --all ends what live grants let in", why->text);
    if (result != ASK_DONE)
        tell_daemon(c);
    return EXIT_FAILURE;
}

/* Removes a profile, and ends its connections twice: at once, and again when no further knock
 * counts, as one in between may have let more in. The first request is answered once portsmithd
 * has done what it was told before, such as a reload: a reload after the removal would drop the
 * profile, and leave its connections alone. Returns an exit status. */
static int remove_with_connections(const struct config *c, const char *name)
{
    struct ended sum = {0, 0};
    struct error first_reason, why;
    enum ask_result first = end_grants(c, name, CONTROL_CLOSE, &sum, &first_reason), last;

    if (remove_profile(c, name) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    last = end_grants(c, name, CONTROL_REVOKE, &sum, &why);
    if (last == ASK_DONE && first != ASK_FAILED) {
        printf("no knock of it counts any more; closed %u grant%s, ended %u connection%s\n",
               sum.grants, sum.grants == 1 ? "" : "s", sum.connections,
               sum.connections == 1 ? "" : "s");
        return EXIT_SUCCESS;
    }
    return tell_not_ended(c, last, last == ASK_DONE ? &first_reason : &why);
}

/* Revokes a profile, even where others, or this one, are broken. */
static int run_revoke(const char *config_file, int argc, char **argv)
{
    static const struct option options[] = {{"kill", no_argument, NULL, 'k'}, {0}};
    bool kills = false;
    const char *name;
    uint8_t key_id[KEY_ID_SIZE] = {0};
    struct config c;
    struct error why;
    int option, status;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return command_hint();
        kills = true;
    }
    if (take_name(argc, argv, &name) != 0)
        return EXIT_USAGE;
    if (!config_read_main(&c, config_file, &why))
        return command_fail(EX_CONFIG, why.text);
    if (c.roster_key_count > 0)
        find_key_id(config_file, name, key_id);
    status = kills ? remove_with_connections(&c, name) : remove_profile(&c, name);
    if (!kills && status == EXIT_SUCCESS)
        tell_daemon(&c);
    return status == EXIT_SUCCESS ? warn_of_rest(config_file, name, key_id) : status;
}

/* ---- main ---------------------------------------------------------------------- */

static const struct command commands[] = {
    {"init", run_init, NULL}, {"add", run_add, NULL},   {"create", run_create, NULL},
    {"list", run_list, NULL}, {"show", run_show, NULL}, {"revoke", run_revoke, NULL},
    {"group", group_run, NULL}, {"roster", fleet_run, NULL},
};

static void write_usage(char text[static USAGE_SIZE])
{
    char option[32];
    size_t size = (size_t)snprintf(text, USAGE_SIZE, "%s", usage);

    for (const struct profile_key *key = profile_keys; key->option && size < USAGE_SIZE; key++) {
        if (!key->help)
            continue;
        snprintf(option, sizeof option, "--%s %s", key->option, key->value ? key->value : "");
        size += (size_t)snprintf(text + size, USAGE_SIZE - size, "  %-20s %s\n", option, key->help);
    }
    if (size < USAGE_SIZE)
        snprintf(text + size, USAGE_SIZE - size, "%s", rest_of_usage);
}

int main(int argc, char **argv)
{
    char text[USAGE_SIZE];

    if (sodium_init() < 0)
        return command_fail(EXIT_FAILURE, "libsodium does not start");
    umask(022);
    write_usage(text);
    return command_main(commands, sizeof commands / sizeof *commands, text, CONFIG_FILE, argc,
                        argv);
}
