#include "daemon/config/profile.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/profilekeys.h"

enum {
    KEYS_MAX = 32,
    SERVICES_A_LINE = 12, /* which must stay below SETTINGS_LINE_MAX */
};

bool profile_name_is_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return n > 0 && n < POLICY_NAME_SIZE && name[n] == '\0';
}

bool profile_parse_number(uint32_t *number, uint32_t most, const char *text, struct error *why)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value = strtoul(text, NULL, 10);

    if (digits == 0 || digits > 5 || text[digits] != '\0' || value == 0 || value > most)
        return error_set(why, "'%s' is not a number from 1 to %u", text, most);
    *number = (uint32_t)value;
    return true;
}

/* The helper refuses a service whose padding is not zero, so only its members are written. */
bool profile_add_service(struct service *services, uint8_t *count, uint8_t most,
                         const char *word, struct error *why)
{
    struct service s;
    uint8_t at = 0;

    if (!service_parse(&s, word, why))
        return false;
    while (at < *count && service_compare(&services[at], &s) < 0)
        at++;
    if (at < *count && service_compare(&services[at], &s) == 0)
        return true;
    if (*count == most)
        return error_set(why, "more than %u services", most);
    memmove(&services[at + 1], &services[at], (size_t)(*count - at) * sizeof *services);
    services[at].protocol = s.protocol;
    services[at].port = s.port;
    (*count)++;
    return true;
}

void profile_print_services(const char *key, const struct service *services, unsigned count,
                            FILE *out)
{
    char text[SERVICE_TEXT_SIZE];

    for (unsigned i = 0; i < count; i++) {
        if (i % SERVICES_A_LINE == 0)
            fprintf(out, "%s%s =", i > 0 ? "\n" : "", key);
        fprintf(out, " %s", service_format(&services[i], text));
    }
    if (count > 0)
        fputc('\n', out);
}

void profile_begin(struct profile_draft *draft)
{
    memset(draft, 0, sizeof *draft);
    draft->profile.policy = &draft->policy;
}

/* The table of profile_keys, for which `settings` has the room. */
static struct settings_table table_of_keys(struct setting settings[static KEYS_MAX])
{
    struct settings_table table = {"Profile", settings, 0, profile_old_words, NULL};

    for (; table.count < KEYS_MAX && profile_keys[table.count].option; table.count++)
        settings[table.count] = profile_keys[table.count].setting;
    return table;
}

bool profile_set(struct profile_draft *draft, const char *place, const char *key,
                 const char *value, struct settings_notes *notes, struct error *why)
{
    struct setting settings[KEYS_MAX];
    const struct settings_table table = table_of_keys(settings);

    return settings_set(&table, place, key, value, draft, notes, why);
}

bool profile_is_whole(const struct profile_draft *draft, const char *path, struct error *why)
{
    if (sodium_is_zero(draft->policy.signer.public_key, KEY_SIZE))
        return error_set(why, "%s: expected a line 'PublicKey = ...'", path);
    return draft->policy.service_count > 0 ||
           error_set(why, "%s: expected a line 'Open = ...', such as Open = tcp/22", path);
}

bool profile_read(struct profile_draft *draft, const char *path, const char *name,
                  struct settings_notes *notes, struct error *why)
{
    struct setting settings[KEYS_MAX];
    const struct settings_table table = table_of_keys(settings);

    profile_begin(draft);
    memcpy(draft->policy.name, name, strnlen(name, sizeof draft->policy.name - 1));
    if (!settings_read(path, FILE_CONFIGURATION, &table, draft, notes, why) ||
        !profile_is_whole(draft, path, why))
        return false;
    return !draft->profile.has_preshared || file_is_trusted(path, FILE_SECRET, why);
}

bool profile_sends_on(const struct profile *p, const struct service *service)
{
    for (unsigned i = 0; i < p->policy->destination_count; i++)
        if (service_compare(&p->policy->destinations[i].service, service) == 0)
            return true;
    return false;
}

void profile_print(const struct profile *p, FILE *out)
{
    fputs("[Profile]\n", out);
    for (const struct profile_key *key = profile_keys; key->option; key++)
        if (key->print)
            key->print(p, out);
}
