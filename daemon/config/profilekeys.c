#include "daemon/config/profilekeys.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "common/text/keys.h"
#include "common/text/timespan.h"
#include "daemon/config/destination.h"

enum { PREFIXES_A_LINE = 3 }; /* which must stay below SETTINGS_LINE_MAX */

/* ---- numbers and spans ------------------------------------------------------ */

static void print_number(const char *key, uint32_t number, FILE *out)
{
    if (number > 0)
        fprintf(out, "%s = %u\n", key, number);
}

static void print_timespan(const char *key, uint32_t seconds, FILE *out)
{
    char text[TIMESPAN_TEXT_SIZE];

    if (seconds > 0)
        fprintf(out, "%s = %s\n", key, timespan_format(seconds, text));
}

static bool set_window(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return timespan_parse(&draft->policy.window, value, why);
}

static void print_window(const struct profile *p, FILE *out)
{
    print_timespan("Window", p->policy->window, out);
}

static bool set_max_window(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return timespan_parse(&draft->policy.max_window, value, why);
}

static void print_max_window(const struct profile *p, FILE *out)
{
    print_timespan("MaxWindow", p->policy->max_window, out);
}

static bool set_port(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return port_parse(&draft->profile.port, value, why);
}

static void print_port(const struct profile *p, FILE *out)
{
    print_number("Port", p->port, out);
}

static bool set_max_grants(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    return profile_parse_number(&draft->policy.max_grants, MAX_GRANTS_MOST, value, why);
}

static void print_max_grants(const struct profile *p, FILE *out)
{
    print_number("MaxGrants", p->policy->max_grants, out);
}

static bool set_connections(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;
    uint32_t number;

    if (!profile_parse_number(&number, CONNECTIONS_MAX, value, why))
        return false;
    draft->policy.connections = (uint16_t)number;
    return true;
}

static void print_connections(const struct profile *p, FILE *out)
{
    print_number("Connections", p->policy->connections, out);
}

/* ---- keys ------------------------------------------------------------------- */

/* The key's line and the line Require may come in either order. */
static bool key_fits_required(const struct profile_draft *draft, struct error *why)
{
    const struct signer *signer = &draft->policy.signer;

    return !draft->says_required || signer->form == SIGNER_SECURITY_KEY ||
           sodium_is_zero(signer->public_key, KEY_SIZE) ||
           error_set(why, "Require is for a security key (sk-ssh-ed25519@openssh.com) alone: "
                          "nobody touches another one");
}

static bool set_ssh_key(struct profile_draft *draft, const char *line, struct error *why)
{
    const uint8_t required = draft->policy.signer.required;
    struct ssh_key key;

    if (!ssh_key_parse(&key, line, why))
        return false;
    draft->policy.signer = ssh_key_signer(&key);
    if (draft->says_required)
        draft->policy.signer.required = required;
    draft->profile.ssh_key = ssh_key_format(&key, draft->ssh_key);
    return true;
}

static bool set_own_key(struct profile_draft *draft, const char *text, struct error *why)
{
    if (!key_parse(draft->policy.signer.public_key, text, why))
        return false;
    return key_convert_public(draft->point, draft->policy.signer.public_key) ||
           error_set(why, "not a usable public key; take the one that "
                          "portsmith-knock keygen prints");
}

static bool set_public_key(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    if (!(ssh_key_is_line(value) ? set_ssh_key : set_own_key)(draft, value, why))
        return false;
    envelope_key_id(draft->profile.key_id, draft->policy.signer.public_key);
    return key_fits_required(draft, why);
}

static void print_public_key(const struct profile *p, FILE *out)
{
    char key[KEY_TEXT_SIZE];

    fprintf(out, "PublicKey = %s\n",
            p->ssh_key ? p->ssh_key : key_format(p->policy->signer.public_key, key));
}

/* What a security key's authenticator must have seen, and its flags. */
static const struct requirement {
    const char *word;
    uint8_t flags;
} requirements[] = {
    {"touch", AUTHENTICATOR_TOUCHED},
    {"pin", AUTHENTICATOR_TOUCHED | AUTHENTICATOR_VERIFIED},
    {"none", 0},
};

enum { REQUIREMENTS = sizeof requirements / sizeof *requirements };

static bool set_require(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;
    size_t i = 0;

    while (i < REQUIREMENTS && strcmp(requirements[i].word, value) != 0)
        i++;
    if (i == REQUIREMENTS)
        return error_set(why, "expected touch, pin or none, not '%.100s'", value);
    draft->policy.signer.required = requirements[i].flags;
    draft->says_required = true;
    return key_fits_required(draft, why);
}

static void print_require(const struct profile *p, FILE *out)
{
    const struct signer *signer = &p->policy->signer;

    for (size_t i = 1; i < REQUIREMENTS && signer->form == SIGNER_SECURITY_KEY; i++)
        if (signer->required == requirements[i].flags)
            fprintf(out, "Require = %s\n", requirements[i].word);
}

static bool set_preshared(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    draft->profile.has_preshared = key_parse(draft->preshared, value, why);
    return draft->profile.has_preshared;
}

/* ---- what is opened --------------------------------------------------------- */

/* The value of one Open line, word by word: SERVICE, or SERVICE -> DESTINATION. */
struct opening {
    struct helper_profile *policy;
    struct service service; /* the last one named; its port is 0 before the first */
    bool expects_destination;
};

static bool add_destination(struct opening *o, const char *word, struct error *why)
{
    struct helper_profile *p = o->policy;
    struct helper_destination d;

    memset(&d, 0, sizeof d); /* its padding crosses into the helper, too */
    d.service.protocol = o->service.protocol;
    d.service.port = o->service.port;
    if (!destination_parse(&d, word, why))
        return false;
    for (unsigned i = 0; i < p->destination_count; i++)
        if (service_compare(&p->destinations[i].service, &d.service) == 0 &&
            address_is_ipv4(&p->destinations[i].address) == address_is_ipv4(&d.address))
            return error_set(why, "a second IPv%d destination for one service",
                             address_is_ipv4(&d.address) ? 4 : 6);
    if (p->destination_count == POLICY_DESTINATIONS)
        return error_set(why, "more than %d destinations", POLICY_DESTINATIONS);
    memcpy(&p->destinations[p->destination_count++], &d, sizeof d);
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
        return profile_add_service(o->policy->services, &o->policy->service_count,
                                   POLICY_SERVICES, word, why) &&
               service_parse(&o->service, word, why);
    o->expects_destination = o->service.port != 0;
    return o->expects_destination ||
           error_set(why, "expected a service before '->', such as tcp/2222 -> 192.168.1.10:22");
}

static bool set_open(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;
    struct opening opening = {.policy = &draft->policy};

    if (!settings_each_word(value, add_open, &opening, why))
        return false;
    return !opening.expects_destination ||
           error_set(why, "expected a destination after '->', such as 192.168.1.10:22");
}

static void print_open(const struct profile *p, FILE *out)
{
    char service[SERVICE_TEXT_SIZE], text[DESTINATION_TEXT_SIZE];
    const struct helper_profile *policy = p->policy;
    struct service own[POLICY_SERVICES];
    unsigned count = 0;

    for (unsigned i = 0; i < policy->service_count; i++)
        if (!profile_sends_on(p, &policy->services[i]))
            own[count++] = policy->services[i];
    profile_print_services("Open", own, count, out);
    for (unsigned i = 0; i < policy->destination_count; i++)
        fprintf(out, "Open = %s -> %s\n",
                service_format(&policy->destinations[i].service, service),
                destination_format(&policy->destinations[i], text));
}

/* ---- addresses -------------------------------------------------------------- */

static bool add_address(void *into, const char *word, struct error *why)
{
    struct profile_draft *draft = into;
    struct helper_profile *p = &draft->policy;

    if (strcmp(word, "any") == 0)
        draft->says_any = true;
    else if (strcmp(word, "signed") == 0)
        p->needs_signed_address = 1;
    else if (p->prefix_count == POLICY_PREFIXES)
        return error_set(why, "more than %d prefixes", POLICY_PREFIXES);
    else if (prefix_parse(&p->prefixes[p->prefix_count], word, why))
        p->prefix_count++;
    else
        return error_set(why, "expected any, signed or a prefix such as 192.0.2.0/24, "
                              "not '%s'", word);
    if (draft->says_any && p->needs_signed_address)
        return error_set(why, "any and signed exclude each other");
    return true;
}

static bool set_address(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_address, into, why);
}

static void print_address(const struct profile *p, FILE *out)
{
    char text[PREFIX_TEXT_SIZE];

    fprintf(out, "Address = %s", p->policy->needs_signed_address ? "signed" : "any");
    for (unsigned i = 0; i < p->policy->prefix_count; i++) {
        if (i > 0 && i % PREFIXES_A_LINE == 0)
            fputs("\nAddress =", out);
        fprintf(out, " %s", prefix_format(&p->policy->prefixes[i], text));
    }
    fputc('\n', out);
}

/* ---- the last day ----------------------------------------------------------- */

static bool set_expires(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;

    if (!date_parse(&draft->policy.expires, value, why))
        return false;
    return draft->policy.expires > 0 || error_set(why, "'%s' is before 1970", value);
}

static void print_expires(const struct profile *p, FILE *out)
{
    char date[DATE_TEXT_SIZE];

    if (p->policy->expires != 0)
        fprintf(out, "Expires = %s\n", date_format(p->policy->expires, date));
}

/* ---- hours: "Mon-Fri 08:00-18:00", in UTC ----------------------------------- */

static const char days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

/* Reads DAY or DAY-DAY and the space behind it, and moves on. */
static bool take_days(const char **text, unsigned range[static 2])
{
    for (int i = 0; i < 2; i++) {
        unsigned day = 0;

        while (day < 7 && strncasecmp(*text, days[day], 3) != 0)
            day++;
        if (day == 7)
            return false;
        *text += 3;
        range[i] = range[1] = day;
        if (i == 0 && **text != '-')
            break;
        *text += i == 0;
    }
    if (**text != ' ')
        return false;
    *text += strspn(*text, " ");
    return true;
}

/* Reads HH:MM, up to 24:00, in minutes, and moves on. */
static bool take_time(const char **text, unsigned *minutes)
{
    static const char form[] = "00:00"; /* each 0: any digit */
    const char *t = *text;
    unsigned minute;

    for (int i = 0; form[i]; i++)
        if (form[i] == '0' ? t[i] < '0' || t[i] > '9' : t[i] != form[i])
            return false;
    minute = (unsigned)(t[3] - '0') * 10 + (unsigned)(t[4] - '0');
    *minutes = ((unsigned)(t[0] - '0') * 10 + (unsigned)(t[1] - '0')) * 60 + minute;
    *text += sizeof form - 1;
    return minute < 60 && *minutes <= MINUTES_A_DAY;
}

/* Reads HH:MM-HH:MM, the last of the line; 24:00 begins nothing. */
static bool take_times(const char *text, unsigned times[static 2])
{
    if (!take_time(&text, &times[0]) || *text++ != '-' || !take_time(&text, &times[1]))
        return false;
    return *text == '\0' && times[0] < MINUTES_A_DAY && times[0] != times[1];
}

/* Adds hours. Hours that touch others of the same day become one with them. */
static bool add_hours(struct helper_profile *p, unsigned from, unsigned to, struct error *why)
{
    struct hours *hours = p->hours;
    uint8_t kept = 0, at = 0;

    for (unsigned i = 0; i < p->hours_count; i++) {
        const struct hours other = hours[i];

        if (other.from / MINUTES_A_DAY != from / MINUTES_A_DAY || other.from > to ||
            other.to < from) {
            hours[kept++] = other;
            continue;
        }
        from = other.from < from ? other.from : from;
        to = other.to > to ? other.to : to;
    }
    memset(&hours[kept], 0, (POLICY_HOURS - kept) * sizeof *hours);
    p->hours_count = kept;
    if (kept == POLICY_HOURS)
        return error_set(why, "more than %d ranges, each day's counted", POLICY_HOURS);
    while (at < kept && hours[at].from < from)
        at++;
    memmove(&hours[at + 1], &hours[at], (size_t)(kept - at) * sizeof *hours);
    hours[at] = (struct hours){(uint16_t)from, (uint16_t)to};
    p->hours_count++;
    return true;
}

/* Adds the times of a day. If the second time is not after the first, they go on to the next
 * day. */
static bool add_day(struct helper_profile *p, unsigned day, const unsigned times[static 2],
                    struct error *why)
{
    unsigned midnight = day * MINUTES_A_DAY, next = (day + 1) % 7 * MINUTES_A_DAY;

    if (times[0] < times[1])
        return add_hours(p, midnight + times[0], midnight + times[1], why);
    return add_hours(p, midnight + times[0], midnight + MINUTES_A_DAY, why) &&
           (times[1] == 0 || add_hours(p, next, next + times[1], why));
}

/* Reads a line of Hours. A range of days may go over Sunday: Sat-Mon. */
static bool set_hours(void *into, const char *value, struct error *why)
{
    struct profile_draft *draft = into;
    const char *at = value;
    unsigned times[2], range[2];

    if (!take_days(&at, range))
        return error_set(why, "'%.100s' is not a day and a time such as Mon-Fri 08:00-18:00 (UTC); "
                              "other days and times go on a line of their own", value);
    if (!take_times(at, times))
        return error_set(why, "'%.100s' does not end with a time such as 08:00-18:00 (UTC); "
                              "other days and times go on a line of their own", value);
    for (unsigned day = range[0];; day = (day + 1) % 7) {
        if (!add_day(&draft->policy, day, times, why))
            return false;
        if (day == range[1])
            return true;
    }
}

static void print_hours(const struct profile *p, FILE *out)
{
    for (unsigned i = 0; i < p->policy->hours_count; i++) {
        const struct hours *hours = &p->policy->hours[i];
        unsigned day = hours->from / MINUTES_A_DAY, midnight = day * MINUTES_A_DAY;
        unsigned from = hours->from - midnight, to = hours->to - midnight;

        fprintf(out, "Hours = %s %02u:%02u-%02u:%02u\n", days[day], from / 60, from % 60, to / 60,
                to % 60);
    }
}

/* ---- all of them ------------------------------------------------------------ */

const struct profile_key profile_keys[] = {
    {{"PublicKey", set_public_key, false}, print_public_key, "public-key", "KEY", NULL},
    {{"Require", set_require, false}, print_require,
     "require", "WORD", "touch, pin or none, of a security key that is added"},
    {{"Open", set_open, true}, print_open, "open", "SERVICE", NULL},
    {{"Window", set_window, false}, print_window,
     "window", "SPAN", "how long a knock opens a port for"},
    {{"MaxWindow", set_max_window, false}, print_max_window,
     "max-window", "SPAN", "the longest that the client may ask for"},
    {{"Address", set_address, true}, print_address,
     "address", "WORD", "any, signed, or a prefix such as 192.0.2.0/24"},
    {{"Port", set_port, false}, print_port, "port", "PORT", "a knock port of its own"},
    {{"Expires", set_expires, false}, print_expires,
     "expires", "DATE", "the last day that the profile is good for"},
    {{"Hours", set_hours, true}, print_hours,
     "hours", "HOURS", "when it may knock: \"Mon-Fri 08:00-18:00\", in UTC"},
    {{"PresharedKey", set_preshared, false}, NULL,
     "preshared-key", NULL, "add a pre-shared key"},
    {{"MaxGrants", set_max_grants, false}, print_max_grants,
     "max-grants", "NUMBER", "how many grants the client may have at one time"},
    {{"Connections", set_connections, false}, print_connections,
     "connections", "NUMBER", "shut the port after so many connections"},
    {{NULL, NULL, false}, NULL, NULL, NULL, NULL},
};

/* A profile that takes any address takes signed ones, too. */
const struct old_word profile_old_words[] = {{"observed", "Address", "any"}, {NULL, NULL, NULL}};
