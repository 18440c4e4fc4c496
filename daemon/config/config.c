#include "daemon/config/config.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/libc.h"
#include "common/text/keys.h"
#include "common/text/timespan.h"
#include "daemon/config/configkeys.h"
#include "daemon/config/directory.h"
#include "daemon/config/roster.h"
#include "daemon/config/rosterfile.h"
#include "privsep/backend.h"

/* ---- portsmith.conf --------------------------------------------------------- */

bool config_set(struct config *c, const char *key, const char *value, struct error *why)
{
    return settings_set(&config_table, "", key, value, c, NULL, why);
}

bool config_windows_agree(const char *path, uint32_t window, uint32_t max_window,
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

/* Whether keys that are right by themselves go together. The path is for the reason. */
static bool firewall_keys_agree(const struct config *c, const char *path, struct error *why)
{
    const bool is_iptables = c->backend == BACKEND_NFT || c->backend == BACKEND_LEGACY;

    if (c->forward && c->grant_store == GRANT_STORE_SET)
        return error_set(why, "%s: GrantStore = set does not go with Forward = yes: a set knows "
                              "only the port after any translation; use GrantStore = rules", path);
    if (c->backend == BACKEND_NFTABLES && c->grant_store != GRANT_STORE_AUTO)
        return error_set(why, "%s: GrantStore is only for iptables: with Backend = nftables a "
                              "grant is always an element of a set of nftables; remove the line, "
                              "or set GrantStore = auto", path);
    if (c->backend == BACKEND_NFTABLES && c->forward && c->accept_mark == 0)
        return error_set(why, "%s: Forward = yes with Backend = nftables needs AcceptMark, as "
                              "nothing of Portsmith's accepts for the chains that forward: add a "
                              "line such as AcceptMark = 0x100, and have your firewall accept that "
                              "mark, as portsmith.conf(5) shows", path);
    return !is_iptables || c->accept_mark == 0 ||
           error_set(why, "%s: AcceptMark is for Backend = nftables: with %s Portsmith's own rules "
                          "accept what a grant opens; remove the line", path,
                     backend_name(c->backend));
}

/* Whether a member of a group has a name, no other host has it, and no other host has any. */
static bool group_keys_agree(const struct config *c, const char *path, struct error *why)
{
    if (c->group[0] != '\0' && c->member[0] == '\0')
        return error_set(why, "%s: Group needs a line 'Member = ...', the name by which clients "
                              "knock at this host", path);
    if (c->group[0] == '\0' && (c->member[0] != '\0' || c->peer_count > 0))
        return error_set(why, "%s: %s is only for the hosts of a group: add a line 'Group = ...', "
                              "or remove this one",
                         path, c->member[0] != '\0' ? "Member" : "Peers");
    return !config_find_peer(c, c->member) ||
           error_set(why, "%s: Peers has %s, which is this host by Member: name the others alone",
                     path, config_find_peer(c, c->member));
}

/* Whether the name of a member is an address that stands for all of them. */
static bool is_shared(const struct config *c, const char *name)
{
    struct address address;

    return address_parse(&address, name) && config_shares(c, &address);
}

/* A shared address is a group's, and a member has one of its own beside it. */
static bool shared_addresses_agree(const struct config *c, const char *path, struct error *why)
{
    if (c->shared_count > 0 && c->peer_count == 0)
        return error_set(why, "%s: SharedAddress needs a line 'Peers = ...', the other members of "
                              "the group, to which knocks at that address are copied", path);
    if (is_shared(c, c->member))
        return error_set(why, "%s: Member is %s, which SharedAddress says stands for all members: "
                              "name this host by an address of its own", path, c->member);
    for (unsigned i = 0; i < c->peer_count; i++)
        if (is_shared(c, c->peers[i]))
            return error_set(why, "%s: Peers has %s, which SharedAddress says stands for all "
                                  "members: name each by an address of its own", path, c->peers[i]);
    return true;
}

/* Whether a roster is bounded, and only a roster is. */
static bool roster_keys_agree(const struct config *c, const char *path, struct error *why)
{
    if (c->roster_key_count > 0)
        return c->roster_service_count > 0 ||
               error_set(why, "%s: RosterKey needs a line 'RosterServices = ...', the services "
                              "that a roster may open here, such as RosterServices = tcp/22", path);
    return (c->roster_service_count == 0 && c->roster_profile_count == 0) ||
           error_set(why, "%s: %s is only for a roster: add the line 'RosterKey = ...' that "
                          "portsmith-profile roster init prints, or remove this one", path,
                     c->roster_service_count > 0 ? "RosterServices" : "RosterProfiles");
}

bool config_read_main(struct config *c, const char *path, struct error *why)
{
    char init[CONFIG_INIT_SIZE];

    *c = config_defaults;
    errno = 0;
    if (!settings_read(path, FILE_CONFIGURATION, &config_table, c, &c->notes, why)) {
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
    return firewall_keys_agree(c, path, why) && group_keys_agree(c, path, why) &&
           shared_addresses_agree(c, path, why) && roster_keys_agree(c, path, why) &&
           config_windows_agree(path, c->window, c->max_window, why);
}

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

const char *config_roster_path(const struct config *c, char path[static CONFIG_PROFILE_PATH_SIZE])
{
    snprintf(path, CONFIG_PROFILE_PATH_SIZE, "%s/roster", c->profile_directory);
    return path;
}

const char *config_kept_roster_path(const struct config *c,
                                    char path[static CONFIG_PROFILE_PATH_SIZE])
{
    snprintf(path, CONFIG_PROFILE_PATH_SIZE, "%s/roster", c->state_directory);
    return path;
}

const char *config_fleet_secret_path(const struct config *c,
                                     char path[static CONFIG_PROFILE_PATH_SIZE])
{
    snprintf(path, CONFIG_PROFILE_PATH_SIZE, "%s/fleet.secret", c->profile_directory);
    return path;
}

/* ---- user and group --------------------------------------------------------- */

static bool find_user(const char *key, const char *name, uid_t *uid, gid_t *gid, const char *path,
                      struct error *why)
{
    const struct passwd *user = getpwnam(name);
    char init[CONFIG_INIT_SIZE];

    if (!user)
        return error_set(why, "%s: the user '%s' does not exist; run %s", path, name,
                         config_init_command(path, init));
    if (user->pw_uid == 0)
        return error_set(why, "%s: %s must not be root, as '%s' is; expected a user of its own, "
                              "such as %s", path, key, name,
                         strcmp(key, "User") == 0 ? "portsmith" : "portsmith-witness");
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    return true;
}

/* Finds the users that sniffer and witness become. Two processes of one user could end each other,
 * and the one reads the network. */
static bool find_users(struct config *c, const char *path, struct error *why)
{
    if (!find_user("User", c->user, &c->uid, &c->gid, path, why) ||
        !find_user("WitnessUser", c->witness_user, &c->witness_uid, &c->witness_gid, path, why))
        return false;
    return c->uid != c->witness_uid ||
           error_set(why, "%s: User and WitnessUser must not be one user, as '%s' is", path,
                     c->user);
}

/* Finds the group of ControlGroup. It must not be the sniffer's or the witness's: what reads the
 * network must not be able to ask for anything. */
static bool find_control_group(struct config *c, const char *path, struct error *why)
{
    const struct group *group;

    if (c->control_group[0] == '\0')
        return true;
    group = getgrnam(c->control_group);
    if (!group)
        return error_set(why, "%s: the group '%s' of ControlGroup does not exist; run: groupadd "
                              "--system %s", path, c->control_group, c->control_group);
    if (group->gr_gid == c->gid || group->gr_gid == c->witness_gid)
        return error_set(why, "%s: ControlGroup must not be the group of %s, as '%s' is", path,
                         group->gr_gid == c->gid ? "User" : "WitnessUser", c->control_group);
    c->control_gid = group->gr_gid;
    return true;
}

/* A reload takes users and group from the configuration in use. To look them up a host's name
 * services may do more than the supervisor's filter lets through. */
static bool keep_users(struct config *c, const struct config *in_use, const char *path,
                      struct error *why)
{
    if (strcmp(c->user, in_use->user) != 0)
        return error_set(why, "%s: restart portsmithd to change User; it is '%s' now", path,
                         in_use->user);
    if (strcmp(c->witness_user, in_use->witness_user) != 0)
        return error_set(why, "%s: restart portsmithd to change WitnessUser; it is '%s' now", path,
                         in_use->witness_user);
    if (strcmp(c->control_group, in_use->control_group) != 0)
        return error_set(why, "%s: restart portsmithd to change ControlGroup; it is '%s' now", path,
                         in_use->control_group);
    c->uid = in_use->uid;
    c->gid = in_use->gid;
    c->witness_uid = in_use->witness_uid;
    c->witness_gid = in_use->witness_gid;
    c->control_gid = in_use->control_gid;
    return true;
}

/* ---- the whole -------------------------------------------------------------- */

static ssize_t hash_text(void *state, const char *text, size_t size)
{
    crypto_generichash_update(state, (const uint8_t *)text, size);
    return (ssize_t)size;
}

/* Takes the fingerprint of what `print` prints, and of the envelope keys, which are not printed. It
 * is all zeros where there is no memory. */
static void take_fingerprint(const struct config *c, void (*print)(const struct config *, FILE *),
                             uint8_t fingerprint[static CONFIG_FINGERPRINT_SIZE])
{
    crypto_generichash_state state;
    FILE *out = fopencookie(&state, "w", (cookie_io_functions_t){.write = hash_text});

    memset(fingerprint, 0, CONFIG_FINGERPRINT_SIZE);
    if (!out)
        return;
    crypto_generichash_init(&state, NULL, 0, CONFIG_FINGERPRINT_SIZE);
    print(c, out);
    fclose(out);
    for (size_t i = 0; i < c->profile_count; i++)
        crypto_generichash_update(&state, c->profiles[i].envelope_key, KEY_SIZE);
    crypto_generichash_final(&state, fingerprint, CONFIG_FINGERPRINT_SIZE);
}

/* Where the files are may differ from one member to the next. */
static void print_shared(const struct config *c, FILE *out)
{
    for (size_t i = 0; i < c->profile_count; i++) {
        fprintf(out, "%s\n", c->profiles[i].policy->name);
        profile_print(&c->profiles[i], out);
    }
}

static void take_fingerprints(struct config *c)
{
    take_fingerprint(c, config_print, c->fingerprint);
    if (c->group[0] != '\0')
        take_fingerprint(c, print_shared, c->shared_fingerprint);
}

static bool load(struct config *c, const char *path, const struct config *in_use,
                 struct error *why)
{
    if (!config_read_main(c, path, why) ||
        !(in_use ? keep_users(c, in_use, path, why)
                 : find_users(c, path, why) && find_control_group(c, path, why)))
        return false;
    if (!directory_read(c, path, in_use != NULL, why))
        return false;
    take_fingerprints(c);
    if (c->roster_trouble.text[0] != '\0')
        config_forget_removed_profiles(c); /* which a reload has shut out must stay out */
    return true;
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

static bool is_file_gone(const struct config *c, const struct profile *p)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
    struct stat s;

    return !p->is_of_roster && lstat(config_profile_path(c, p->policy->name, path), &s) != 0 &&
           errno == ENOENT;
}

size_t config_forget_removed_profiles(struct config *c)
{
    size_t kept = 0, before = c->profile_count;
    struct roster next = {0};

    if (c->roster_key_count > 0)
        rosterfile_read_revoked(c, &next);
    for (size_t i = 0; i < before; i++) {
        if (is_file_gone(c, &c->profiles[i]) ||
            roster_revokes(&next, c->profiles[i].policy->signer.public_key))
            continue;
        if (kept != i)
            c->profiles[kept] = c->profiles[i];
        kept++;
    }
    if (kept < before)
        sodium_memzero(c->profiles + kept, (before - kept) * sizeof *c->profiles);
    c->profile_count = kept;
    roster_free(&next);
    if (kept < before)
        take_fingerprints(c);
    return before - kept;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    sodium_free(c->profiles);
    pool_free(&c->policies);
    roster_free(&c->roster);
    free(c->roster_to_keep.bytes);
    free(c);
}

bool config_shuts_tcp(const struct config *c)
{
    for (unsigned i = 0; i < c->shut_count; i++)
        if (c->shut[i].protocol == IPPROTO_TCP)
            return true;
    return false;
}

const char *config_find_peer(const struct config *c, const char *member)
{
    for (unsigned i = 0; i < c->peer_count; i++)
        if (strcasecmp(c->peers[i], member) == 0)
            return c->peers[i];
    return NULL;
}

bool config_shares(const struct config *c, const struct address *address)
{
    for (unsigned i = 0; i < c->shared_count; i++)
        if (address_equal(&c->shared[i], address))
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

void config_print_profile(const struct config *c, const struct profile *p, FILE *out)
{
    char path[CONFIG_PROFILE_PATH_SIZE], id[2 * KEY_ID_SIZE + 1];

    if (p->is_of_roster)
        snprintf(path, sizeof path, "%.32s, of the roster", p->policy->name);
    else
        config_profile_path(c, p->policy->name, path);
    fprintf(out, "# %s, key id %s\n", path,
            sodium_bin2hex(id, sizeof id, p->key_id, KEY_ID_SIZE));
    profile_print(p, out);
    if (p->has_preshared)
        fputs("# PresharedKey is set and not shown\n", out);
}

void config_print(const struct config *c, FILE *out)
{
    char key[KEY_TEXT_SIZE], date[DATE_TEXT_SIZE];

    fprintf(out, "# the server's public key: %s\n", key_format(c->server_public, key));
    if (c->roster.version != 0)
        fprintf(out, "# the roster: version %" PRIu64 ", good until %s, %zu revoked\n",
                c->roster.version, date_format(c->roster.not_after, date),
                c->roster.revoked_count);
    config_print_keys(c, out);
    for (size_t i = 0; i < c->profile_count; i++) {
        fputc('\n', out);
        config_print_profile(c, &c->profiles[i], out);
    }
}
