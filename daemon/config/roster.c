#include "daemon/config/roster.h"

#include <errno.h>
#include <fnmatch.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/room.h"
#include "common/text/keys.h"
#include "common/text/timespan.h"
#include "daemon/config/profilekeys.h"

enum {
    KEYS_MAX = 32,
    VERSION_DIGITS = 15, /* what programs that know numbers as doubles read as well */
    PLACE_SIZE = PATH_MAX + POLICY_NAME_SIZE + sizeof ": [Profile ]",
};

static const char profile_title[] = "Profile ";

/* What no two profiles of a roster share. */
struct entry {
    char name[POLICY_NAME_SIZE];
    uint8_t key_id[KEY_ID_SIZE];
};

struct reading {
    struct roster_profile profile; /* first: the setters of a profile's keys work on it */
    struct roster *roster;
    const char *path;
    roster_taker *take;
    void *data;
    struct setting settings[KEYS_MAX]; /* of a profile */
    struct settings_table profiles;
    struct entry *entries;
    size_t entry_count;
    bool is_in_profile, is_over;
};

/* ---- the head --------------------------------------------------------------- */

static bool set_version(void *into, const char *value, struct error *why)
{
    struct reading *r = into;
    size_t digits = strspn(value, "0123456789");

    if (digits == 0 || digits > VERSION_DIGITS || value[digits] != '\0' || value[0] == '0')
        return error_set(why, "'%.100s' is not a version: expected a number from 1 on, of %d "
                              "digits at most", value, VERSION_DIGITS);
    r->roster->version = strtoull(value, NULL, 10);
    return true;
}

static bool set_not_after(void *into, const char *value, struct error *why)
{
    struct reading *r = into;

    return date_parse(&r->roster->not_after, value, why) &&
           (r->roster->not_after > 0 || error_set(why, "'%s' is before 1970", value));
}

static bool add_revoked(void *into, const char *value, struct error *why)
{
    struct reading *r = into;
    struct roster *roster = r->roster;
    uint8_t(*all)[KEY_SIZE] = room_for_one(roster->revoked, roster->revoked_count, sizeof *all);
    struct ssh_key key;

    if (!all)
        return error_set(why, "%s", strerror(errno));
    roster->revoked = all;
    if (ssh_key_is_line(value) ? !ssh_key_parse(&key, value, why)
                               : !key_parse(key.public_key, value, why))
        return false;
    memcpy(all[roster->revoked_count++], key.public_key, KEY_SIZE);
    return true;
}

static const struct settings_table *begin_section(void *into, const char *title,
                                                  struct error *why);

static const struct setting head_settings[] = {
    {"Version", set_version, false},
    {"NotAfter", set_not_after, false},
    {"Revoke", add_revoked, true},
};

static const struct settings_table head = {
    "Roster", head_settings, sizeof head_settings / sizeof *head_settings, NULL, begin_section};

/* ---- profiles --------------------------------------------------------------- */

static bool add_group(void *into, const char *word, struct error *why)
{
    struct roster_profile *p = into;

    if (p->group_count == ROSTER_GROUPS)
        return error_set(why, "more than %d groups", ROSTER_GROUPS);
    return config_group_parse(p->groups[p->group_count], word, why) && ++p->group_count > 0;
}

static bool set_group(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_group, into, why);
}

/* The keys of a profile's file, but for the secret one, and Group. */
static void list_keys(struct reading *r)
{
    size_t count = 0;

    for (const struct profile_key *key = profile_keys; key->option; key++)
        if (key->print && count < KEYS_MAX - 1)
            r->settings[count++] = key->setting;
    r->settings[count++] = (struct setting){"Group", set_group, true};
    r->profiles = (struct settings_table){"Profile", r->settings, count, profile_old_words,
                                          begin_section};
}

static bool note_entry(struct reading *r, const struct profile_draft *draft, struct error *why)
{
    struct entry *all = room_for_one(r->entries, r->entry_count, sizeof *all);

    if (!all)
        return error_set(why, "%s: %s", r->path, strerror(errno));
    r->entries = all;
    memcpy(all[r->entry_count].name, draft->policy.name, POLICY_NAME_SIZE);
    memcpy(all[r->entry_count++].key_id, draft->profile.key_id, KEY_ID_SIZE);
    return true;
}

/* Hands the profile on whose last line was read. */
static bool end_profile(struct reading *r, struct error *why)
{
    struct profile_draft *draft = &r->profile.draft;
    char place[PLACE_SIZE];

    snprintf(place, sizeof place, "%s: [Profile %s]", r->path, draft->policy.name);
    return profile_is_whole(draft, place, why) && note_entry(r, draft, why) &&
           r->take(r->data, &r->profile, place, why);
}

static bool begin_head(const struct reading *r, struct error *why)
{
    return (!r->is_in_profile && r->roster->version == 0) ||
           error_set(why, "a second section [Roster]");
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, KEY_SIZE);
}

static bool end_head(const struct reading *r, const char *before, struct error *why)
{
    struct roster *roster = r->roster;

    if (roster->version == 0 || roster->not_after == 0)
        return error_set(why, "%sexpected the section [Roster] first, with lines 'Version = ...' "
                              "and 'NotAfter = ...'", before);
    if (roster->revoked_count > 0)
        qsort(roster->revoked, roster->revoked_count, KEY_SIZE, compare_keys);
    return true;
}

static bool begin_profile(struct reading *r, const char *name, struct error *why)
{
    if (!(r->is_in_profile ? end_profile(r, why) : end_head(r, "", why)))
        return false;
    r->is_over = !r->take;
    if (r->is_over)
        return error_set(why, "the head ends here");
    if (!profile_name_is_valid(name))
        return error_set(why, "a profile's name has 1 to 32 of a-z, 0-9 and -");
    memset(&r->profile, 0, sizeof r->profile);
    profile_begin(&r->profile.draft);
    strcpy(r->profile.draft.policy.name, name);
    r->is_in_profile = true;
    return true;
}

static const struct settings_table *begin_section(void *into, const char *title, struct error *why)
{
    struct reading *r = into;
    const size_t size = sizeof profile_title - 1;

    if (strcasecmp(title, head.section) == 0)
        return begin_head(r, why) ? &head : NULL;
    if (strncasecmp(title, profile_title, size) == 0)
        return begin_profile(r, title + size, why) ? &r->profiles : NULL;
    error_set(why, "expected the section [Roster] or [Profile NAME], not [%.100s]", title);
    return NULL;
}

/* ---- the whole -------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int compare_key_ids(const void *a, const void *b)
{
    return memcmp(((const struct entry *)a)->key_id, ((const struct entry *)b)->key_id,
                  KEY_ID_SIZE);
}

static bool entries_differ(struct reading *r, struct error *why)
{
    const struct entry *e = r->entries;

    if (r->entry_count < 2)
        return true;
    qsort(r->entries, r->entry_count, sizeof *r->entries, compare_names);
    for (size_t i = 1; i < r->entry_count; i++)
        if (compare_names(&e[i - 1], &e[i]) == 0)
            return error_set(why, "%s: two profiles are called '%s'", r->path, e[i].name);
    qsort(r->entries, r->entry_count, sizeof *r->entries, compare_key_ids);
    for (size_t i = 1; i < r->entry_count; i++)
        if (compare_key_ids(&e[i - 1], &e[i]) == 0)
            return error_set(why, "%s: the profiles '%s' and '%s' have the same key; each client "
                                  "needs one of its own", r->path, e[i - 1].name, e[i].name);
    return true;
}

/* Reads to the end, and looks at what only the whole shows. */
static bool read_all(struct reading *r, FILE *file, struct settings_notes *notes,
                     struct error *why)
{
    char before[PATH_MAX + 2];

    if (!settings_read_stream(file, r->path, &head, r, notes, why))
        return r->is_over;
    snprintf(before, sizeof before, "%s: ", r->path);
    return (r->is_in_profile ? end_profile(r, why) : end_head(r, before, why)) &&
           entries_differ(r, why);
}

bool roster_read(struct roster *roster, char *text, size_t size, const char *path,
                 roster_taker *take, void *data, struct settings_notes *notes, struct error *why)
{
    struct reading *r = calloc(1, sizeof *r);
    FILE *file = r ? fmemopen(text, size, "r") : NULL;
    bool ok;

    *roster = (struct roster){0};
    if (file) {
        r->roster = roster;
        r->path = path;
        r->take = take;
        r->data = data;
        list_keys(r);
        ok = read_all(r, file, notes, why);
        free(r->entries);
    } else {
        ok = error_set(why, "%s: %s", path, strerror(errno));
    }
    free(r);
    return ok;
}

bool roster_revokes(const struct roster *roster, const uint8_t client_public[static KEY_SIZE])
{
    return roster->revoked_count > 0 && bsearch(client_public, roster->revoked,
                                                roster->revoked_count, KEY_SIZE, compare_keys);
}

void roster_free(struct roster *roster)
{
    free(roster->revoked);
    *roster = (struct roster){0};
}

/* ---- at a host -------------------------------------------------------------- */

static bool is_for_group(const struct config *c, const struct roster_profile *p)
{
    for (unsigned i = 0; i < p->group_count; i++)
        if (strcmp(p->groups[i], c->group) == 0)
            return true;
    return p->group_count == 0;
}

static bool is_let_in(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->roster_profile_count; i++)
        if (fnmatch(c->roster_profiles[i], name, 0) == 0)
            return true;
    return c->roster_profile_count == 0;
}

/* Whether the host lets a roster open that service, to lead there; port 0: to end at this host. */
static bool is_named(const struct config *c, const struct helper_destination *wanted)
{
    for (unsigned i = 0; i < c->roster_service_count; i++) {
        const struct helper_destination *named = &c->roster_services[i];

        if (service_compare(&named->service, &wanted->service) == 0 &&
            named->port == wanted->port && address_equal(&named->address, &wanted->address))
            return true;
    }
    return false;
}

/* A service counts only with all of its destinations: without one it would be this host's own. */
static bool grants(const struct config *c, const struct helper_profile *p,
                   const struct service *service)
{
    const struct helper_destination own = {.service = *service};
    bool is_own = true;

    for (unsigned i = 0; i < p->destination_count; i++) {
        if (service_compare(&p->destinations[i].service, service) != 0)
            continue;
        if (!is_named(c, &p->destinations[i]))
            return false;
        is_own = false;
    }
    return !is_own || is_named(c, &own);
}

/* Takes the services out that the host does not let a roster grant, and their destinations. What is
 * cut off is all zero, as where it was never given. */
static void bound_services(const struct config *c, struct helper_profile *p)
{
    const struct helper_profile all = *p;

    p->service_count = p->destination_count = 0;
    memset(p->services, 0, sizeof p->services);
    memset(p->destinations, 0, sizeof p->destinations);
    for (unsigned i = 0; i < all.service_count; i++)
        if (grants(c, &all, &all.services[i]))
            memcpy(&p->services[p->service_count++], &all.services[i], sizeof *p->services);
    for (unsigned i = 0; i < all.destination_count; i++)
        if (grants(c, &all, &all.destinations[i].service))
            memcpy(&p->destinations[p->destination_count++], &all.destinations[i],
                   sizeof *p->destinations);
}

bool roster_admits(const struct config *c, struct roster_profile *p)
{
    struct helper_profile *policy = &p->draft.policy;

    if (!is_for_group(c, p) || !is_let_in(c, policy->name))
        return false;
    bound_services(c, policy);
    return policy->service_count > 0;
}

void roster_preshared(uint8_t preshared[static KEY_SIZE], const uint8_t secret[static KEY_SIZE],
                      const uint8_t client_public[static KEY_SIZE])
{
    static const char label[] = "portsmith/1 roster-psk";
    crypto_generichash_state state;

    crypto_generichash_init(&state, secret, KEY_SIZE, KEY_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&state, client_public, KEY_SIZE);
    crypto_generichash_final(&state, preshared, KEY_SIZE);
    sodium_memzero(&state, sizeof state);
}
