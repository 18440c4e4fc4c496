#include "daemon/config/profile.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/text/keys.h"
#include "common/text/settings.h"
#include "common/text/timespan.h"
#include "daemon/config/destination.h"
#include "daemon/config/hours.h"

/* Words in a printed line: it must stay below SETTINGS_LINE_MAX. */
enum { SERVICES_A_LINE = 12, PREFIXES_A_LINE = 3 };

bool profile_name_is_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return n > 0 && n < POLICY_NAME_SIZE && name[n] == '\0';
}

static bool parse_number(uint32_t *number, uint32_t most, const char *text, struct error *why)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value = strtoul(text, NULL, 10);

    if (digits == 0 || digits > 5 || text[digits] != '\0' || value == 0 || value > most)
        return error_set(why, "'%s' is not a number from 1 to %u", text, most);
    *number = (uint32_t)value;
    return true;
}

bool profile_parse_max_grants(uint32_t *grants, const char *text, struct error *why)
{
    return parse_number(grants, MAX_GRANTS_MOST, text, why);
}

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
    services[at] = s;
    (*count)++;
    return true;
}

void profile_begin(struct profile_draft *draft)
{
    struct profile *p = &draft->profile;

    memset(draft, 0, sizeof *draft);
    p->services = draft->services;
    p->prefixes = draft->prefixes;
    p->destinations = draft->destinations;
    p->hours = draft->hours;
}

/* The value of one Open line, word by word: SERVICE, or SERVICE -> DESTINATION. */
struct opening {
    struct profile_draft *draft;
    struct service service; /* the last one named; its port is 0 before the first */
    bool expects_destination;
};

static bool add_service(struct opening *o, const char *word, struct error *why)
{
    struct profile_draft *draft = o->draft;

    return profile_add_service(draft->services, &draft->profile.service_count, POLICY_SERVICES,
                               word, why) &&
           service_parse(&o->service, word, why);
}

static bool add_destination(struct opening *o, const char *word, struct error *why)
{
    struct profile *p = &o->draft->profile;
    struct helper_destination d = {.service = o->service};

    if (!destination_parse(&d, word, why))
        return false;
    for (unsigned i = 0; i < p->destination_count; i++)
        if (service_compare(&p->destinations[i].service, &d.service) == 0 &&
            address_is_ipv4(&p->destinations[i].address) == address_is_ipv4(&d.address))
            return error_set(why, "a second IPv%d destination for one service",
                             address_is_ipv4(&d.address) ? 4 : 6);
    if (p->destination_count == POLICY_DESTINATIONS)
        return error_set(why, "more than %d destinations", POLICY_DESTINATIONS);
    o->draft->destinations[p->destination_count++] = d;
    o->expects_destination = false;
    o->service.port = 0;
    return true;
}

static bool add_open(void *into, const char *word, struct error *why)
{
    struct opening *o = into;

    if (o->expects_destination)
        return add_destination(o, word, why);
    if (strcmp(word, "->") != 0)
        return add_service(o, word, why);
    o->expects_destination = o->service.port != 0;
    return o->expects_destination ||
           error_set(why, "expected a service before '->', such as tcp/2222 -> 192.168.1.10:22");
}

static bool add_address(void *into, const char *word, struct error *why)
{
    struct profile_draft *draft = into;
    struct profile *p = &draft->profile;

    if (strcmp(word, "observed") == 0)
        draft->says_observed = true;
    else if (strcmp(word, "signed") == 0)
        p->needs_signed_address = true;
    else if (p->prefix_count == POLICY_PREFIXES)
        return error_set(why, "more than %d prefixes", POLICY_PREFIXES);
    else if (prefix_parse(&draft->prefixes[p->prefix_count], word, why))
        p->prefix_count++;
    else
        return error_set(why, "expected observed, signed or a prefix such as 192.0.2.0/24, "
                              "not '%s'", word);
    if (draft->says_observed && p->needs_signed_address)
        return error_set(why, "observed and signed exclude each other");
    return true;
}

static bool set_public_key(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;
    struct profile *p = &draft->profile;

    if (!key_parse(p->public_key, value, why))
        return false;
    if (!key_convert_public(draft->point, p->public_key))
        return error_set(why, "not a usable public key; take the one that "
                              "portsmith-knock keygen prints");
    envelope_key_id(p->key_id, p->public_key);
    return true;
}

static bool set_open(void *into, const char *value, struct error *why)
{
    struct opening opening = {.draft = into};

    if (!settings_each_word(value, add_open, &opening, why))
        return false;
    return !opening.expects_destination ||
           error_set(why, "expected a destination after '->', such as 192.168.1.10:22");
}

static bool set_window(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return timespan_parse(&draft->profile.window, value, why);
}

static bool set_max_window(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return timespan_parse(&draft->profile.max_window, value, why);
}

static bool set_address(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_address, into, why);
}

static bool set_port(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return port_parse(&draft->profile.port, value, why);
}

static bool set_expires(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return date_parse(&draft->profile.expires, value, why);
}

static bool set_hours(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return hours_parse(draft->hours, &draft->profile.hours_count, value, why);
}

static bool set_preshared(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    draft->profile.has_preshared = key_parse(draft->preshared, value, why);
    return draft->profile.has_preshared;
}

static bool set_max_grants(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return profile_parse_max_grants(&draft->profile.max_grants, value, why);
}

static bool set_connections(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return parse_number(&draft->profile.connections, CONNECTIONS_MAX, value, why);
}

static const struct setting settings[] = {
    {"PublicKey", set_public_key, false},
    {"Open", set_open, true},
    {"Window", set_window, false},
    {"MaxWindow", set_max_window, false},
    {"Address", set_address, true},
    {"Port", set_port, false},
    {"Expires", set_expires, false},
    {"Hours", set_hours, true},
    {"PresharedKey", set_preshared, false},
    {"MaxGrants", set_max_grants, false},
    {"Connections", set_connections, false},
};

enum { SETTINGS = sizeof settings / sizeof *settings };

bool profile_set(struct profile_draft *draft, const char *key, const char *value,
                 struct error *why)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strcasecmp(settings[i].key, key) == 0)
            return settings[i].set(draft, value, why);
    return error_set(why, "unknown key '%s'", key);
}

bool profile_read(struct profile_draft *draft, const char *path, const char *name,
                  struct error *why)
{
    struct profile *p = &draft->profile;

    profile_begin(draft);
    memcpy(p->name, name, strnlen(name, sizeof p->name - 1));
    if (!settings_read(path, FILE_CONFIGURATION, "Profile", settings, SETTINGS, draft, why))
        return false;
    if (sodium_is_zero(p->public_key, KEY_SIZE))
        return error_set(why, "%s: expected a line 'PublicKey = ...'", path);
    if (p->service_count == 0)
        return error_set(why, "%s: expected a line 'Open = ...', such as Open = tcp/22", path);
    return !p->has_preshared || file_is_trusted(path, FILE_SECRET, why);
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

static void print_address(const struct profile *p, FILE *out)
{
    char text[PREFIX_TEXT_SIZE];

    fprintf(out, "Address = %s", p->needs_signed_address ? "signed" : "observed");
    for (unsigned i = 0; i < p->prefix_count; i++) {
        if (i > 0 && i % PREFIXES_A_LINE == 0)
            fputs("\nAddress =", out);
        fprintf(out, " %s", prefix_format(&p->prefixes[i], text));
    }
    fputc('\n', out);
}

static void print_timespan(const char *key, uint32_t seconds, FILE *out)
{
    char text[TIMESPAN_TEXT_SIZE];

    if (seconds > 0)
        fprintf(out, "%s = %s\n", key, timespan_format(seconds, text));
}

static bool has_destination(const struct profile *p, const struct service *service)
{
    for (unsigned i = 0; i < p->destination_count; i++)
        if (service_compare(&p->destinations[i].service, service) == 0)
            return true;
    return false;
}

static void print_open(const struct profile *p, FILE *out)
{
    char service[SERVICE_TEXT_SIZE], text[DESTINATION_TEXT_SIZE];
    struct service own[POLICY_SERVICES];
    unsigned count = 0;

    for (unsigned i = 0; i < p->service_count; i++)
        if (!has_destination(p, &p->services[i]))
            own[count++] = p->services[i];
    profile_print_services("Open", own, count, out);
    for (unsigned i = 0; i < p->destination_count; i++)
        fprintf(out, "Open = %s -> %s\n",
                service_format(&p->destinations[i].service, service),
                destination_format(&p->destinations[i], text));
}

bool profile_sends_on(const struct profile *p, const struct service *service)
{
    for (unsigned i = 0; i < p->destination_count; i++)
        if (service_compare(&p->destinations[i].service, service) == 0)
            return true;
    return false;
}

void profile_print(const struct profile *p, FILE *out)
{
    char key[KEY_TEXT_SIZE], date[DATE_TEXT_SIZE];

    fprintf(out, "[Profile]\nPublicKey = %s\n", key_format(p->public_key, key));
    print_open(p, out);
    print_timespan("Window", p->window, out);
    print_timespan("MaxWindow", p->max_window, out);
    print_address(p, out);
    if (p->port > 0)
        fprintf(out, "Port = %u\n", p->port);
    if (p->expires != 0)
        fprintf(out, "Expires = %s\n", date_format(p->expires, date));
    hours_print(p->hours, p->hours_count, out);
    if (p->max_grants > 0)
        fprintf(out, "MaxGrants = %u\n", p->max_grants);
    if (p->connections > 0)
        fprintf(out, "Connections = %u\n", p->connections);
}
