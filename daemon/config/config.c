#include "daemon/config/config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/text/keys.h"
#include "common/text/settings.h"
#include "common/text/timespan.h"

enum { DEFAULT_PROFILE_GRANTS = 32, INTERFACES_A_LINE = 8 };

typedef char profile_name[POLICY_NAME_SIZE];

/* ---- portsmith.conf --------------------------------------------------------- */

/* What the kernel takes for the name of a network device (dev_valid_name), if it is not too
 * long. */
static bool is_interface_name(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || name[i] == ':' || isspace((unsigned char)name[i]))
            return false;
    return n > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool add_interface(void *into, const char *word, struct error *why)
{
    struct config *c = into;
    bool any = strcmp(word, "any") == 0;

    if (strlen(word) >= CONFIG_INTERFACE_NAME_SIZE)
        return error_set(why, "'%s' is not an interface name: that has 15 characters at most. If it "
                              "is an alternative name, take the one that ip link show prints for it",
                         word);
    if (!is_interface_name(word))
        return error_set(why, "'%s' is not an interface name", word);
    for (unsigned i = 0; i < c->interface_count; i++) {
        if (strcmp(c->interfaces[i], word) == 0)
            return true;
        if (any || strcmp(c->interfaces[i], "any") == 0)
            return error_set(why, "'any' stands alone: it covers every interface");
    }
    if (c->interface_count == CONFIG_INTERFACES)
        return error_set(why, "more than %d interfaces; use any", CONFIG_INTERFACES);
    strcpy(c->interfaces[c->interface_count++], word);
    return true;
}

static bool add_close(void *into, const char *word, struct error *why)
{
    struct config *c = into;

    return profile_add_service(c->close, &c->close_count, CLOSE_SERVICES, word, why);
}

static bool set_interface(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_interface, into, why);
}

static bool set_port(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return port_parse(&c->port, value, why);
}

static bool add_transport(void *into, const char *word, struct error *why)
{
    struct config *c = into;
    enum transport transport;

    if (!transport_parse(&transport, word, why))
        return false;
    c->transports |= 1u << transport;
    return true;
}

static bool set_transports(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_transport, into, why);
}

/* Which of `count` words it is; `count` if it is none of them. */
static unsigned find_word(const char *value, const char *const *words, unsigned count)
{
    unsigned i = 0;

    while (i < count && strcmp(value, words[i]) != 0)
        i++;
    return i;
}

enum { CHOICES = 3 }; /* of either of the two below */

static const char *const backends[CHOICES] = {
    [BACKEND_AUTO] = "auto", [BACKEND_NFT] = "nft", [BACKEND_LEGACY] = "legacy"};

static bool set_backend(void *into, const char *value, struct error *why)
{
    struct config *c = into;
    unsigned found = find_word(value, backends, CHOICES);

    if (found == CHOICES)
        return error_set(why, "expected auto, nft or legacy, not '%s'", value);
    c->backend = c->backend_in_use = (enum backend)found;
    return true;
}

static bool set_close(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_close, into, why);
}

static bool set_close_with(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    c->close_with_reset = strcmp(value, "reset") == 0;
    if (!c->close_with_reset && strcmp(value, "drop") != 0)
        return error_set(why, "expected drop or reset, not '%s'", value);
    return true;
}

static bool set_max_skew(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    c->skew_checked = strcmp(value, "off") != 0;
    return !c->skew_checked || timespan_parse(&c->max_skew, value, why);
}

static bool set_window(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return timespan_parse(&c->window, value, why);
}

static bool set_max_window(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return timespan_parse(&c->max_window, value, why);
}

static bool set_forward(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    c->forward = strcmp(value, "yes") == 0;
    return c->forward || strcmp(value, "no") == 0 ||
           error_set(why, "expected yes or no, not '%s'", value);
}

static const char *const stores[CHOICES] = {
    [GRANT_STORE_AUTO] = "auto", [GRANT_STORE_RULES] = "rules", [GRANT_STORE_SET] = "set"};

static bool set_grant_store(void *into, const char *value, struct error *why)
{
    struct config *c = into;
    unsigned found = find_word(value, stores, CHOICES);

    if (found == CHOICES)
        return error_set(why, "expected auto, rules or set, not '%s'", value);
    c->grant_store = (enum grant_store)found;
    return true;
}

static bool set_max_grants(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return profile_parse_number(&c->max_grants, MAX_GRANTS_MOST, value, why);
}

/* No name that starts with a dash: it becomes an argument of useradd. No number: what looks
 * like one would be a name that nobody has, and that useradd refuses. */
static bool set_name(char name[static CONFIG_USER_SIZE], const char *value, const char *what,
                     struct error *why)
{
    size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    if (n == 0 || n >= CONFIG_USER_SIZE || value[n] != '\0' || value[0] == '-')
        return error_set(why, "'%s' is not a %s name", value, what);
    if (value[strspn(value, "0123456789")] == '\0')
        return error_set(why, "'%s' is not a %s name but a number; getent %s %s prints the name",
                         value, what, strcmp(what, "user") == 0 ? "passwd" : "group", value);
    strcpy(name, value);
    return true;
}

static bool set_user(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return set_name(c->user, value, "user", why);
}

static bool set_control_group(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return set_name(c->control_group, value, "group", why);
}

static bool set_path(char path[static CONFIG_PATH_SIZE], const char *value, struct error *why)
{
    if (value[0] != '/')
        return error_set(why, "expected an absolute path, not '%s'", value);
    if (strlen(value) >= CONFIG_PATH_SIZE)
        return error_set(why, "the path is longer than %d bytes", CONFIG_PATH_SIZE - 1);
    strcpy(path, value);
    return true;
}

static bool set_profile_directory(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return set_path(c->profile_directory, value, why);
}

static bool set_state_directory(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return set_path(c->state_directory, value, why);
}

static bool set_run_directory(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return set_path(c->run_directory, value, why);
}

/* The collector reads no file of another name. */
static bool set_metrics_file(void *into, const char *value, struct error *why)
{
    struct config *c = into;
    size_t n = strlen(value);

    if (n < sizeof "/x.prom" - 1 || strcmp(value + n - 5, ".prom") != 0)
        return error_set(why, "expected a file whose name ends in .prom, not '%s'", value);
    return set_path(c->metrics_file, value, why);
}

static const struct setting settings[] = {
    {"Interface", set_interface, true},
    {"Port", set_port, false},
    {"Transports", set_transports, true},
    {"Backend", set_backend, false},
    {"Close", set_close, true},
    {"CloseWith", set_close_with, false},
    {"Forward", set_forward, false},
    {"MaxSkew", set_max_skew, false},
    {"Window", set_window, false},
    {"MaxWindow", set_max_window, false},
    {"GrantStore", set_grant_store, false},
    {"MaxGrants", set_max_grants, false},
    {"User", set_user, false},
    {"ControlGroup", set_control_group, false},
    {"ProfileDirectory", set_profile_directory, false},
    {"StateDirectory", set_state_directory, false},
    {"RunDirectory", set_run_directory, false},
    {"MetricsFile", set_metrics_file, false},
};

enum { SETTINGS = sizeof settings / sizeof *settings };

static const struct config defaults = {
    .backend = BACKEND_AUTO,
    .skew_checked = true,
    .max_skew = 300,
    .window = 30,
    .max_window = 600,
    .max_grants = 1000,
    .user = "portsmith",
    .profile_directory = "/etc/portsmith.d",
    .state_directory = "/var/lib/portsmith",
    .run_directory = "/run/portsmith",
};

bool config_set(struct config *c, const char *key, const char *value, struct error *why)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strcasecmp(settings[i].key, key) == 0)
            return settings[i].set(c, value, why);
    return error_set(why, "unknown key '%s'", key);
}

static bool windows_agree(const char *path, uint32_t window, uint32_t max_window,
                          struct error *why)
{
    char text[TIMESPAN_TEXT_SIZE], most[TIMESPAN_TEXT_SIZE];

    if (window <= max_window)
        return true;
    return error_set(why, "%s: Window (%s) is longer than MaxWindow (%s)", path,
                     timespan_format(window, text), timespan_format(max_window, most));
}

const char *config_init_command(const char *path, char command[static CONFIG_INIT_SIZE])
{
    bool is_usual = strcmp(path, CONFIG_FILE) == 0;

    snprintf(command, CONFIG_INIT_SIZE, "portsmith-profile%s%s init", is_usual ? "" : " -c ",
             is_usual ? "" : path);
    return command;
}

bool config_read_main(struct config *c, const char *path, struct error *why)
{
    char init[CONFIG_INIT_SIZE];

    *c = defaults;
    errno = 0;
    if (!settings_read(path, FILE_CONFIGURATION, "Portsmith", settings, SETTINGS, c, why)) {
        if (errno == ENOENT)
            error_set(why, "%s: no such file; run %s", path, config_init_command(path, init));
        return false;
    }
    if (c->port == 0)
        return error_set(why, "%s: expected a line 'Port = ...', the port to watch for knocks",
                         path);
    if (c->interface_count == 0)
        strcpy(c->interfaces[c->interface_count++], "any");
    if (c->transports == 0)
        c->transports = 1u << TRANSPORT_UDP;
    if (c->forward && c->grant_store == GRANT_STORE_SET)
        return error_set(why, "%s: GrantStore = set does not go with Forward = yes: a set knows only "
                              "the port after any translation; use GrantStore = rules", path);
    return windows_agree(path, c->window, c->max_window, why);
}

static bool find_user(struct config *c, const char *path, struct error *why)
{
    const struct passwd *user = getpwnam(c->user);
    char init[CONFIG_INIT_SIZE];

    if (!user)
        return error_set(why, "%s: the user '%s' does not exist; run %s", path, c->user,
                         config_init_command(path, init));
    if (user->pw_uid == 0)
        return error_set(why, "%s: User must not be root, as '%s' is; expected a user of its own, "
                              "such as portsmith", path, c->user);
    c->uid = user->pw_uid;
    c->gid = user->pw_gid;
    return true;
}

/* What reads the network must not be able to ask for anything. */
static bool find_control_group(struct config *c, const char *path, struct error *why)
{
    const struct group *group;

    if (c->control_group[0] == '\0')
        return true;
    group = getgrnam(c->control_group);
    if (!group)
        return error_set(why, "%s: the group '%s' of ControlGroup does not exist; run: groupadd "
                              "--system %s", path, c->control_group, c->control_group);
    if (group->gr_gid == c->gid)
        return error_set(why, "%s: ControlGroup must not be the group of User, as '%s' is", path,
                         c->control_group);
    c->control_gid = group->gr_gid;
    return true;
}

/* ---- the profile directory -------------------------------------------------- */

const char *config_profile_path(const struct config *c, const char *name,
                                char path[static CONFIG_PROFILE_PATH_SIZE])
{
    snprintf(path, CONFIG_PROFILE_PATH_SIZE, "%s/%.32s.conf", c->profile_directory, name);
    return path;
}

const char *config_key_path(const struct config *c, char path[static CONFIG_PROFILE_PATH_SIZE])
{
    snprintf(path, CONFIG_PROFILE_PATH_SIZE, "%s/server.key", c->profile_directory);
    return path;
}

/* Whoever may write the directory may put a profile of his own into it. */
static bool is_trusted_directory(DIR *directory, const char *path, struct error *why)
{
    struct stat s;

    if (fstat(dirfd(directory), &s) != 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (!file_check_owner(&s, path, why))
        return false;
    if (s.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(why, "%s: others may write to it; run: chmod go-w %s", path, path);
    return true;
}

struct names {
    profile_name *all;
    size_t count, room;
};

static bool is_profile_file(const char *file)
{
    size_t n = strlen(file);

    return n >= 5 && strcmp(file + n - 5, ".conf") == 0;
}

static bool add_name(struct names *names, const char *directory, const char *file,
                     struct error *why)
{
    char name[NAME_MAX + 1];

    snprintf(name, sizeof name, "%.*s", (int)strlen(file) - 5, file);
    if (!profile_name_is_valid(name))
        return error_set(why, "%s/%s: a profile's name has 1 to 32 of a-z, 0-9 and -; rename it",
                         directory, file);
    if (names->count == names->room) {
        size_t room = names->room > 0 ? 2 * names->room : 64;
        profile_name *all = reallocarray(names->all, room, sizeof *all);

        if (!all)
            return error_set(why, "%s: %s", directory, strerror(errno));
        names->all = all;
        names->room = room;
    }
    memcpy(names->all[names->count++], name, strlen(name) + 1);
    return true;
}

static bool collect_names(struct names *names, DIR *directory, const char *path, struct error *why)
{
    const struct dirent *entry;

    errno = 0;
    while ((entry = readdir(directory)))
        if (is_profile_file(entry->d_name) && !add_name(names, path, entry->d_name, why))
            return false;
    return errno == 0 || error_set(why, "%s: %s", path, strerror(errno));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool refuse_missing(const char *what, const char *config_path, struct error *why)
{
    char init[CONFIG_INIT_SIZE];

    return error_set(why, "%s: %s; run %s", what, strerror(ENOENT),
                     config_init_command(config_path, init));
}

/* The names of all profiles, sorted; the caller frees names->all. */
static bool list_directory(struct names *names, const char *path, const char *config_path,
                           struct error *why)
{
    DIR *directory = opendir(path);
    bool ok;

    if (!directory && errno == ENOENT)
        return refuse_missing(path, config_path, why);
    if (!directory)
        return error_set(why, "%s: %s", path, file_explain(errno));
    ok = is_trusted_directory(directory, path, why) && collect_names(names, directory, path, why);
    closedir(directory);
    if (ok && names->count > 0)
        qsort(names->all, names->count, sizeof *names->all, compare_names);
    return ok;
}

/* ---- profiles --------------------------------------------------------------- */

static bool add_port(struct config *c, uint16_t port)
{
    unsigned at = 0;

    while (at < c->port_count && c->ports[at] < port)
        at++;
    if (at < c->port_count && c->ports[at] == port)
        return true;
    if (c->port_count == CONFIG_KNOCK_PORTS)
        return false;
    memmove(&c->ports[at + 1], &c->ports[at], (c->port_count - at) * sizeof *c->ports);
    c->ports[at] = port;
    c->port_count++;
    return true;
}

static bool complete_profile(struct config *c, struct profile_draft *draft, const char *path,
                             struct error *why)
{
    struct helper_profile *p = &draft->policy;

    if (p->window == 0)
        p->window = c->window;
    if (p->max_window == 0)
        p->max_window = c->max_window;
    if (p->max_grants == 0)
        p->max_grants = DEFAULT_PROFILE_GRANTS;
    if (draft->profile.port == 0)
        draft->profile.port = c->port;
    if (!add_port(c, draft->profile.port))
        return error_set(why, "%s: Port: more than %d knock ports in all; use one of the others",
                         path, CONFIG_KNOCK_PORTS);
    if (p->max_grants < p->service_count)
        return error_set(why, "%s: MaxGrants (%u) is less than the services to open (%u): no knock "
                              "for all of them would fit", path, p->max_grants, p->service_count);
    return windows_agree(path, p->window, p->max_window, why);
}

static int compare_key_ids(const void *a, const void *b)
{
    const struct profile *const *p = a, *const *q = b;

    return memcmp((*p)->key_id, (*q)->key_id, KEY_ID_SIZE);
}

static bool refuse_twins(const struct config *c, const struct profile *a, const struct profile *b,
                         struct error *why)
{
    const struct profile *first = a < b ? a : b, *second = a < b ? b : a;
    char path[CONFIG_PROFILE_PATH_SIZE];

    return error_set(why, "%s: PublicKey: the same key as in profile '%s'; each client needs one "
                          "of its own", config_profile_path(c, second->policy->name, path), first->policy->name);
}

/* Knocks name profiles by key id: no two may share one. */
static bool keys_differ(const struct config *c, struct error *why)
{
    const struct profile **sorted;
    bool ok = true;

    if (c->profile_count < 2)
        return true;
    sorted = calloc(c->profile_count, sizeof *sorted);
    if (!sorted)
        return error_set(why, "%s: %s", c->profile_directory, strerror(errno));
    for (size_t i = 0; i < c->profile_count; i++)
        sorted[i] = &c->profiles[i];
    qsort(sorted, c->profile_count, sizeof *sorted, compare_key_ids);
    for (size_t i = 1; ok && i < c->profile_count; i++)
        if (compare_key_ids(&sorted[i - 1], &sorted[i]) == 0)
            ok = refuse_twins(c, sorted[i - 1], sorted[i], why);
    free(sorted);
    return ok;
}

/* ---- reading them ----------------------------------------------------------- */

/* What is secret meanwhile. */
struct secrets {
    struct server_key server;
    struct profile_draft draft;
};

static bool read_server_key(const struct config *c, const char *config_path,
                            struct server_key *key, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];

    errno = 0;
    if (!key_file_read(config_key_path(c, path), key->secret, why))
        return errno == ENOENT && refuse_missing(path, config_path, why);
    return key_server_public(key->public, key->secret) ||
           error_set(why, "%s:1: not a usable key", path);
}

/* Reads the profile of that name into *p. */
static bool read_profile(struct config *c, struct profile *p, const char *name,
                         struct secrets *secrets, struct error *why)
{
    struct profile_draft *draft = &secrets->draft;
    char path[CONFIG_PROFILE_PATH_SIZE];

    config_profile_path(c, name, path);
    if (!profile_read(draft, path, name, why) || !complete_profile(c, draft, path, why))
        return false;
    *p = draft->profile;
    if (!envelope_key_of_server(p->envelope_key, &secrets->server, draft->policy.public_key,
                                draft->point, p->has_preshared ? draft->preshared : NULL))
        return error_set(why, "%s: PublicKey: not a usable public key", path);
    p->policy = pool_copy(&c->policies, &draft->policy, helper_profile_size(&draft->policy));
    return p->policy || error_set(why, "%s: %s", path, strerror(errno));
}

static bool read_profiles(struct config *c, const struct names *names, struct secrets *secrets,
                          struct error *why)
{
    if (names->count == 0)
        return true;
    c->profiles = sodium_allocarray(names->count, sizeof *c->profiles);
    if (!c->profiles)
        return error_set(why, "%s: no memory for the profiles", c->profile_directory);
    for (size_t i = 0; i < names->count; i++) {
        if (!read_profile(c, &c->profiles[i], names->all[i], secrets, why))
            return false;
        c->profile_count++;
    }
    return keys_differ(c, why);
}

static bool read_key_and_profiles(struct config *c, const char *config_path,
                                  const struct names *names, struct error *why)
{
    struct secrets *secrets = sodium_malloc(sizeof *secrets);
    bool ok;

    if (!secrets)
        return error_set(why, "%s: %s", c->profile_directory, strerror(errno));
    ok = read_server_key(c, config_path, &secrets->server, why) &&
         read_profiles(c, names, secrets, why);
    memcpy(c->server_public, secrets->server.public, KEY_SIZE);
    sodium_free(secrets); /* wipes too */
    return ok;
}

/* ---- the whole -------------------------------------------------------------- */

/* To look a user or a group up can take whatever a host's name services do, which is more
 * than the supervisor's filter lets through. */
static bool keep_user(struct config *c, const struct config *in_use, const char *path,
                      struct error *why)
{
    if (strcmp(c->user, in_use->user) != 0)
        return error_set(why, "%s: User changes by a restart alone; it is '%s' now", path,
                         in_use->user);
    if (strcmp(c->control_group, in_use->control_group) != 0)
        return error_set(why, "%s: ControlGroup changes by a restart alone; it is '%s' now", path,
                         in_use->control_group);
    c->uid = in_use->uid;
    c->gid = in_use->gid;
    c->control_gid = in_use->control_gid;
    return true;
}

static ssize_t hash_text(void *state, const char *text, size_t size)
{
    crypto_generichash_update(state, (const uint8_t *)text, size);
    return (ssize_t)size;
}

/* What is printed, and the keys that are not. All zeros without memory. */
static void take_fingerprint(struct config *c)
{
    crypto_generichash_state state;
    FILE *out = fopencookie(&state, "w", (cookie_io_functions_t){.write = hash_text});

    memset(c->fingerprint, 0, sizeof c->fingerprint);
    if (!out)
        return;
    crypto_generichash_init(&state, NULL, 0, sizeof c->fingerprint);
    config_print(c, out);
    fclose(out);
    for (size_t i = 0; i < c->profile_count; i++)
        crypto_generichash_update(&state, c->profiles[i].envelope_key, KEY_SIZE);
    crypto_generichash_final(&state, c->fingerprint, sizeof c->fingerprint);
}

static bool load(struct config *c, const char *path, const struct config *in_use,
                 struct error *why)
{
    struct names names = {0};
    bool ok;

    if (!config_read_main(c, path, why) ||
        !(in_use ? keep_user(c, in_use, path, why)
                 : find_user(c, path, why) && find_control_group(c, path, why)))
        return false;
    add_port(c, c->port);
    ok = list_directory(&names, c->profile_directory, path, why) &&
         read_key_and_profiles(c, path, &names, why);
    free(names.all);
    if (ok)
        take_fingerprint(c);
    return ok;
}

static struct config *load_new(const char *path, const struct config *in_use, struct error *why)
{
    struct config *c = malloc(sizeof *c);

    if (!c) {
        error_set(why, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (load(c, path, in_use, why)) {
        if (in_use && c->backend == in_use->backend)
            c->backend_in_use = in_use->backend_in_use;
        malloc_trim(0); /* what reading so many profiles took */
        return c;
    }
    config_free(c);
    return NULL;
}

struct config *config_load(const char *path, struct error *why)
{
    return load_new(path, NULL, why);
}

struct config *config_load_again(const char *path, const struct config *in_use, struct error *why)
{
    return load_new(path, in_use, why);
}

void config_lock(struct config *c)
{
    if (c->profile_count > 0)
        sodium_mlock(c->profiles, c->profile_count * sizeof *c->profiles);
}

size_t config_forget_removed_profiles(struct config *c)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    size_t kept = 0, before = c->profile_count;

    for (size_t i = 0; i < before; i++) {
        struct stat s;

        if (lstat(config_profile_path(c, c->profiles[i].policy->name, path), &s) != 0 && errno == ENOENT)
            continue;
        if (kept != i)
            c->profiles[kept] = c->profiles[i];
        kept++;
    }
    if (kept < before)
        sodium_memzero(c->profiles + kept, (before - kept) * sizeof *c->profiles);
    c->profile_count = kept;
    if (kept < before)
        take_fingerprint(c);
    return before - kept;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    sodium_free(c->profiles);
    pool_free(&c->policies);
    free(c);
}

bool config_shuts_tcp(const struct config *c)
{
    for (unsigned i = 0; i < c->close_count; i++)
        if (c->close[i].protocol == IPPROTO_TCP)
            return true;
    return false;
}

static int compare_name_of_profile(const void *name, const void *profile)
{
    return strcmp(name, ((const struct profile *)profile)->policy->name);
}

const struct profile *config_find_profile(const struct config *c, const char *name)
{
    if (c->profile_count == 0)
        return NULL;
    return bsearch(name, c->profiles, c->profile_count, sizeof *c->profiles,
                   compare_name_of_profile);
}

/* ---- printing --------------------------------------------------------------- */

static void print_interfaces(const struct config *c, FILE *out)
{
    for (unsigned i = 0; i < c->interface_count; i++) {
        if (i % INTERFACES_A_LINE == 0)
            fprintf(out, "%sInterface =", i > 0 ? "\n" : "");
        fprintf(out, " %s", c->interfaces[i]);
    }
    fputc('\n', out);
}

static void print_transports(const struct config *c, FILE *out)
{
    fputs("Transports =", out);
    for (unsigned i = 0; i < TRANSPORTS; i++)
        if (c->transports & 1u << i)
            fprintf(out, " %s", transport_name((enum transport)i));
    fputc('\n', out);
}

static void print_main(const struct config *c, FILE *out)
{
    char skew[TIMESPAN_TEXT_SIZE], window[TIMESPAN_TEXT_SIZE], most[TIMESPAN_TEXT_SIZE];

    fputs("[Portsmith]\n", out);
    print_interfaces(c, out);
    fprintf(out, "Port = %u\n", c->port);
    print_transports(c, out);
    fprintf(out, "Backend = %s\n", backends[c->backend]);
    profile_print_services("Close", c->close, c->close_count, out);
    fprintf(out, "CloseWith = %s\nForward = %s\n", c->close_with_reset ? "reset" : "drop",
            c->forward ? "yes" : "no");
    fprintf(out, "MaxSkew = %s\n", c->skew_checked ? timespan_format(c->max_skew, skew) : "off");
    fprintf(out, "Window = %s\nMaxWindow = %s\n", timespan_format(c->window, window),
            timespan_format(c->max_window, most));
    fprintf(out, "GrantStore = %s\nMaxGrants = %u\nUser = %s\n", stores[c->grant_store],
            c->max_grants, c->user);
    if (c->control_group[0] != '\0')
        fprintf(out, "ControlGroup = %s\n", c->control_group);
    fprintf(out, "ProfileDirectory = %s\nStateDirectory = %s\nRunDirectory = %s\n",
            c->profile_directory, c->state_directory, c->run_directory);
    if (c->metrics_file[0])
        fprintf(out, "MetricsFile = %s\n", c->metrics_file);
}

void config_print_profile(const struct config *c, const struct profile *p, FILE *out)
{
    char path[CONFIG_PROFILE_PATH_SIZE], id[2 * KEY_ID_SIZE + 1];

    fprintf(out, "# %s, key id %s\n", config_profile_path(c, p->policy->name, path),
            sodium_bin2hex(id, sizeof id, p->key_id, KEY_ID_SIZE));
    profile_print(p, out);
    if (p->has_preshared)
        fputs("# PresharedKey is set and not shown\n", out);
}

void config_print(const struct config *c, FILE *out)
{
    char key[KEY_TEXT_SIZE];

    fprintf(out, "# the server's public key: %s\n", key_format(c->server_public, key));
    print_main(c, out);
    for (size_t i = 0; i < c->profile_count; i++) {
        fputc('\n', out);
        config_print_profile(c, &c->profiles[i], out);
    }
}
