#include "daemon/config/directory.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/room.h"
#include "common/text/keys.h"
#include "daemon/config/roster.h"
#include "daemon/config/rosterfile.h"

enum { DEFAULT_PROFILE_GRANTS = 32 };

typedef char profile_name[POLICY_NAME_SIZE];

/* ---- which there are -------------------------------------------------------- */

/* Whether root alone may write the directory: whoever may, can put a profile of his own into it. */
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
    size_t count;
};

static bool add_name(struct names *names, const char *directory, const char *file,
                     struct error *why)
{
    char name[NAME_MAX + 1];
    profile_name *all;

    snprintf(name, sizeof name, "%.*s", (int)strlen(file) - 5, file);
    if (!profile_name_is_valid(name))
        return error_set(why, "%s/%s: a profile's name has 1 to 32 of a-z, 0-9 and -; rename it",
                         directory, file);
    all = room_for_one(names->all, names->count, sizeof *all);
    if (!all)
        return error_set(why, "%s: %s", directory, strerror(errno));
    names->all = all;
    memcpy(all[names->count++], name, strlen(name) + 1);
    return true;
}

static bool collect_names(struct names *names, DIR *directory, const char *path, struct error *why)
{
    const struct dirent *entry;

    while (errno = 0, (entry = readdir(directory))) {
        size_t n = strlen(entry->d_name);

        if (n >= 5 && strcmp(entry->d_name + n - 5, ".conf") == 0 &&
            !add_name(names, path, entry->d_name, why))
            return false;
    }
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

/* Lists the names of all profiles, sorted. The caller frees names->all. */
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

/* ---- what they leave out, and what they must not share ------------------------- */

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

bool directory_complete(struct config *c, struct profile_draft *draft, const char *path,
                        struct error *why)
{
    struct helper_profile *p = &draft->policy;

    if (draft->profile.ssh_key && !draft->profile.has_preshared)
        return error_set(why, "%s: the PublicKey is an ssh key, and so a line 'PresharedKey = ...' "
                              "is needed, to hide the client's knocks: portsmith-profile add "
                              "--ssh-key makes both", path);
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
    return config_windows_agree(path, p->window, p->max_window, why);
}

static int compare_key_ids(const void *a, const void *b)
{
    const struct profile *const *p = a, *const *q = b;

    return memcmp((*p)->key_id, (*q)->key_id, KEY_ID_SIZE);
}

/* Whether no two profiles share a key id, by which knocks name them. */
static bool keys_differ(const struct config *c, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];
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
    for (size_t i = 1; ok && i < c->profile_count; i++) {
        const struct profile *a = sorted[i - 1], *b = sorted[i];

        if (compare_key_ids(&a, &b) == 0)
            ok = error_set(why, "%s: PublicKey: the same key as in profile '%s'; each client needs "
                                "one of its own",
                           config_profile_path(c, (a < b ? b : a)->policy->name, path),
                           (a < b ? a : b)->policy->name);
    }
    free(sorted);
    return ok;
}

/* ---- reading them ----------------------------------------------------------- */

struct preshared {
    uint8_t key[KEY_SIZE];
    size_t profile; /* its place in the configuration's list */
    bool is_of_ssh; /* that profile has an ssh key */
};

/* The secrets that are in memory while profiles are read. */
struct secrets {
    struct server_key server;
    uint8_t fleet[KEY_SIZE]; /* by which the pre-shared keys of a roster are made */
    struct profile_draft draft;
    struct preshared *preshared; /* those of the profiles that have one, in locked memory */
    size_t preshared_count;
};

static void note_preshared(struct secrets *secrets, const struct profile_draft *draft,
                           size_t profile)
{
    struct preshared *one = &secrets->preshared[secrets->preshared_count++];

    memcpy(one->key, draft->preshared, KEY_SIZE);
    one->profile = profile;
    one->is_of_ssh = draft->profile.ssh_key != NULL;
}

/* Of the same key those first whose profile has an ssh key. */
static int compare_preshared(const void *a, const void *b)
{
    const struct preshared *const *p = a, *const *q = b;
    int order = memcmp((*p)->key, (*q)->key, KEY_SIZE);

    return order != 0 ? order : (*q)->is_of_ssh - (*p)->is_of_ssh;
}

/* Whether no profile with an ssh key shares its pre-shared key: it alone keys the envelope, and so
 * who has it reads the profile's knocks. */
static bool preshared_keys_differ(const struct config *c, const struct secrets *secrets,
                                  struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE], other[CONFIG_PROFILE_PATH_SIZE];
    const size_t count = secrets->preshared_count;
    const struct preshared **sorted = calloc(count + 1, sizeof *sorted);
    bool ok = true;

    if (!sorted)
        return error_set(why, "%s: %s", c->profile_directory, strerror(errno));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &secrets->preshared[i];
    qsort(sorted, count, sizeof *sorted, compare_preshared);
    for (size_t i = 1; ok && i < count; i++) {
        const struct preshared *a = sorted[i - 1], *b = sorted[i];

        if (a->is_of_ssh && memcmp(a->key, b->key, KEY_SIZE) == 0)
            ok = error_set(why, "%s: PresharedKey: %s has the same, and that of a profile "
                                "with an ssh key must be its own",
                           config_profile_path(c, c->profiles[b->profile].policy->name, path),
                           config_profile_path(c, c->profiles[a->profile].policy->name, other));
    }
    free(sorted);
    return ok;
}

static bool read_server_key(const struct config *c, const char *config_path,
                            struct server_key *key, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];

    if (!key_file_read(config_key_path(c, path), key->secret, why)) {
        if (errno == ENOENT && c->group[0] != '\0')
            return error_set(why, "%s: %s; run portsmith-profile group join or, on the first host "
                                  "of the group %s, portsmith-profile group create", path,
                             strerror(ENOENT), c->group);
        return errno == ENOENT && refuse_missing(path, config_path, why);
    }
    return key_server_public(key->public, key->secret) ||
           error_set(why, "%s:1: not a usable key", path);
}

static bool make_envelope_key(struct profile *p, const struct profile_draft *draft,
                              const struct server_key *server)
{
    const uint8_t *client = draft->policy.signer.public_key;
    const uint8_t *preshared = p->has_preshared ? draft->preshared : NULL;

    if (!p->ssh_key)
        return envelope_key_of_server(p->envelope_key, server, client, draft->point, preshared);
    envelope_key_of_preshared(p->envelope_key, draft->preshared, client, server->public);
    return true;
}

/* Completes the draft, secrets->draft, and stores it in *p. */
static bool take_draft(struct config *c, struct profile *p, struct secrets *secrets,
                       const char *path, struct error *why)
{
    struct profile_draft *draft = &secrets->draft;

    if (!directory_complete(c, draft, path, why))
        return false;
    *p = draft->profile;
    if (!make_envelope_key(p, draft, &secrets->server))
        return error_set(why, "%s: PublicKey: not a usable public key", path);
    p->policy = pool_copy(&c->policies, &draft->policy, helper_profile_size(&draft->policy));
    if (p->ssh_key)
        p->ssh_key = pool_copy(&c->policies, draft->ssh_key, strlen(draft->ssh_key) + 1);
    return (p->policy && (p->ssh_key || !draft->profile.ssh_key)) ||
           error_set(why, "%s: %s", path, strerror(errno));
}

/* Reads the profile of that name into *p. */
static bool read_profile(struct config *c, struct profile *p, const char *name,
                         struct secrets *secrets, struct error *why)
{
    char path[CONFIG_PROFILE_PATH_SIZE];

    config_profile_path(c, name, path);
    if (!profile_read(&secrets->draft, path, name, &c->notes, why) ||
        !take_draft(c, p, secrets, path, why))
        return false;
    if (p->has_preshared)
        note_preshared(secrets, &secrets->draft, (size_t)(p - c->profiles));
    return true;
}

static bool read_profiles(struct config *c, const struct names *names, struct secrets *secrets,
                          struct error *why)
{
    if (names->count == 0)
        return true;
    c->profiles = sodium_allocarray(names->count, sizeof *c->profiles);
    secrets->preshared = sodium_allocarray(names->count, sizeof *secrets->preshared);
    if (!c->profiles || !secrets->preshared)
        return error_set(why, "%s: no memory for the profiles", c->profile_directory);
    for (size_t i = 0; i < names->count; i++) {
        if (!read_profile(c, &c->profiles[i], names->all[i], secrets, why))
            return false;
        c->profile_count++;
    }
    return keys_differ(c, why) && preshared_keys_differ(c, secrets, why);
}

/* ---- those of a roster ------------------------------------------------------ */

struct taking {
    struct config *c; /* which has the profiles of all files */
    struct secrets *secrets;
    struct profile *profiles; /* of the roster, in locked memory */
    size_t count;
};

static bool is_revoked(const struct config *c, const struct profile *p)
{
    return roster_revokes(&c->roster, p->policy->signer.public_key);
}

/* Whether a file gives a profile that name or key: what this host's admin wrote comes first. */
static bool has_file(const struct config *c, const struct profile_draft *draft)
{
    for (size_t i = 0; i < c->profile_count; i++) {
        const struct profile *p = &c->profiles[i];

        if ((strcmp(p->policy->name, draft->policy.name) == 0 ||
             memcmp(p->key_id, draft->profile.key_id, KEY_ID_SIZE) == 0) &&
            !is_revoked(c, p))
            return true;
    }
    return false;
}

/* Takes a profile of the roster, unless it does not count here. It ends with the roster. */
static bool take_profile(void *data, struct roster_profile *from, const char *place,
                         struct error *why)
{
    struct taking *t = data;
    struct profile_draft *draft = &t->secrets->draft;
    struct helper_profile *policy = &draft->policy;
    const int64_t end = t->c->roster.not_after;

    if (!roster_admits(t->c, from) || has_file(t->c, &from->draft) ||
        roster_revokes(&t->c->roster, from->draft.policy.signer.public_key))
        return true;
    *draft = from->draft;
    draft->profile.is_of_roster = draft->profile.has_preshared = true;
    roster_preshared(draft->preshared, t->secrets->fleet, policy->signer.public_key);
    if (policy->expires == 0 || policy->expires > end)
        policy->expires = end;
    return take_draft(t->c, &t->profiles[t->count++], t->secrets, place, why);
}

/* Reads a roster whose signature was verified. No section has a title without a bracket. */
static bool read_roster_from(struct taking *t, const struct rosterfile *file, const char *path,
                             struct error *why)
{
    size_t sections = 0;

    for (size_t i = 0; i < rosterfile_text_size(file); i++)
        sections += file->bytes[i] == '[';
    sodium_free(t->profiles);
    t->profiles = sodium_allocarray(sections + 1, sizeof *t->profiles);
    t->count = 0;
    roster_free(&t->c->roster);
    return t->profiles ? roster_read(&t->c->roster, file->bytes, rosterfile_text_size(file), path,
                                     take_profile, t, &t->c->notes, why)
                       : error_set(why, "%s: no memory for the profiles", path);
}

static void count_ports_again(struct config *c)
{
    c->port_count = 0;
    add_port(c, c->port);
    for (size_t i = 0; i < c->profile_count; i++)
        add_port(c, c->profiles[i].port);
}

/* Reads the roster that is wanted or, unless this is a reload, the one that was used last. */
static bool read_roster(struct taking *t, bool is_again, struct error *why)
{
    struct config *c = t->c;
    char path[CONFIG_PROFILE_PATH_SIZE];
    struct rosterfile wanted, kept;
    bool ok = rosterfile_choose(c, &wanted, &kept, why) &&
              read_roster_from(t, &wanted, config_roster_path(c, path), why);

    if (ok && !rosterfile_equal(&wanted, &kept)) {
        c->roster_to_keep = wanted;
        wanted.bytes = NULL;
    } else if (!ok && kept.bytes && !is_again) {
        c->roster_trouble = *why;
        count_ports_again(c);
        ok = read_roster_from(t, &kept, config_kept_roster_path(c, path), why);
    }
    free(wanted.bytes);
    free(kept.bytes);
    return ok;
}

static int compare_names_of_profiles(const void *a, const void *b)
{
    const struct profile *const *p = a, *const *q = b;

    return strcmp((*p)->policy->name, (*q)->policy->name);
}

/* Puts the profiles of files that the roster does not revoke, and its own, in order. To sort them
 * in their place may leave copies of them in memory that is not locked. */
static bool merge(const struct taking *t, struct error *why)
{
    struct config *c = t->c;
    const size_t room = c->profile_count + t->count + 1;
    struct profile *all = sodium_allocarray(room, sizeof *all);
    const struct profile **sorted = calloc(room, sizeof *sorted);
    size_t count = 0;

    for (size_t i = 0; sorted && i < c->profile_count; i++)
        if (!is_revoked(c, &c->profiles[i]))
            sorted[count++] = &c->profiles[i];
    c->revoked_count = c->profile_count - count;
    for (size_t i = 0; sorted && i < t->count; i++)
        sorted[count++] = &t->profiles[i];
    if (!all || !sorted) {
        sodium_free(all);
        free(sorted);
        return error_set(why, "%s: no memory for the profiles", c->profile_directory);
    }
    qsort(sorted, count, sizeof *sorted, compare_names_of_profiles);
    for (size_t i = 0; i < count; i++)
        all[i] = *sorted[i];
    free(sorted);
    sodium_free(c->profiles);
    c->profiles = all;
    c->profile_count = count;
    return true;
}

static bool add_roster(struct config *c, struct secrets *secrets, bool is_again, struct error *why)
{
    struct taking t = {.c = c, .secrets = secrets};
    char path[CONFIG_PROFILE_PATH_SIZE];
    bool ok = key_file_read(config_fleet_secret_path(c, path), secrets->fleet, why);

    if (!ok && errno == ENOENT)
        error_set(why, "%s: %s; copy the one there that portsmith-profile roster init has made",
                  path, strerror(ENOENT));
    ok = ok && read_roster(&t, is_again, why) && merge(&t, why);

    sodium_free(t.profiles);
    return ok;
}

/* ---- the whole -------------------------------------------------------------- */

static bool read_key_and_profiles(struct config *c, const char *config_path,
                                  const struct names *names, bool is_again, struct error *why)
{
    struct secrets *secrets = sodium_malloc(sizeof *secrets);
    bool ok;

    if (!secrets)
        return error_set(why, "%s: %s", c->profile_directory, strerror(errno));
    secrets->preshared = NULL;
    secrets->preshared_count = 0;
    ok = read_server_key(c, config_path, &secrets->server, why) &&
         read_profiles(c, names, secrets, why) &&
         (c->roster_key_count == 0 || add_roster(c, secrets, is_again, why));
    memcpy(c->server_public, secrets->server.public, KEY_SIZE);
    sodium_free(secrets->preshared); /* wipes too */
    sodium_free(secrets);
    return ok;
}

bool directory_read(struct config *c, const char *config_path, bool is_again, struct error *why)
{
    struct names names = {0};
    bool ok;

    add_port(c, c->port);
    ok = list_directory(&names, c->profile_directory, config_path, why) &&
         read_key_and_profiles(c, config_path, &names, is_again, why);
    free(names.all);
    return ok;
}
