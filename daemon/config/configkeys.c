#include "daemon/config/configkeys.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/text/keys.h"
#include "common/text/timespan.h"
#include "daemon/config/destination.h"
#include "privsep/backend.h"

enum { INTERFACES_A_LINE = 8 };

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
        return error_set(why, "'%s' is not an interface name: that has 15 characters at most. If "
                              "it is an alternative name, take the one that ip link show prints "
                              "for it", word);
    if (!is_interface_name(word))
        return error_set(why, "'%s' is not an interface name", word);
    for (unsigned i = 0; i < c->interface_count; i++) {
        if (strcmp(c->interfaces[i], word) == 0)
            return true;
        if (any || strcmp(c->interfaces[i], "any") == 0)
            return error_set(why, "'any' covers every interface: give no other one with it");
    }
    if (c->interface_count == CONFIG_INTERFACES)
        return error_set(why, "more than %d interfaces; use any", CONFIG_INTERFACES);
    strcpy(c->interfaces[c->interface_count++], word);
    return true;
}

static bool add_shut(void *into, const char *word, struct error *why)
{
    struct config *c = into;

    return profile_add_service(c->shut, &c->shut_count, SHUT_SERVICES, word, why);
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

static bool set_backend(void *into, const char *value, struct error *why)
{
    struct config *c = into;
    unsigned found = BACKEND_AUTO;

    while (found <= BACKEND_NFTABLES && strcmp(value, backend_name((enum backend)found)) != 0)
        found++;
    if (found > BACKEND_NFTABLES)
        return error_set(why, "expected auto, iptables-nft, iptables-legacy or nftables, not '%s'",
                         value);
    c->backend = c->backend_in_use = (enum backend)found;
    return true;
}

/* A packet mark in decimal, or in hexadecimal behind 0x. */
static bool set_accept_mark(void *into, const char *value, struct error *why)
{
    struct config *c = into;
    const bool is_hexadecimal = strncasecmp(value, "0x", 2) == 0;
    const char *digits = is_hexadecimal ? value + 2 : value;
    const char *all = is_hexadecimal ? "0123456789abcdefABCDEF" : "0123456789";
    const size_t size = strspn(digits, all);
    unsigned long long mark;

    if (size == 0 || digits[size] != '\0')
        return error_set(why, "'%s' is not a packet mark: expected a number such as 0x100", value);
    errno = 0;
    mark = strtoull(digits, NULL, is_hexadecimal ? 16 : 10);
    if (errno != 0 || mark == 0 || mark > UINT32_MAX)
        return error_set(why, "'%s' is out of range: a packet mark is from 0x1 to 0xffffffff",
                         value);
    c->accept_mark = (uint32_t)mark;
    return true;
}

static bool set_shut(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_shut, into, why);
}

static bool set_shut_with(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    c->shut_with_reset = strcmp(value, "reset") == 0;
    if (!c->shut_with_reset && strcmp(value, "drop") != 0)
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

static const char *const stores[] = {
    [GRANT_STORE_AUTO] = "auto", [GRANT_STORE_RULES] = "rules", [GRANT_STORE_SET] = "set"};

enum { STORES = sizeof stores / sizeof *stores };

static bool set_grant_store(void *into, const char *value, struct error *why)
{
    struct config *c = into;
    unsigned found = find_word(value, stores, STORES);

    if (found == STORES)
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

static bool set_witness_user(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return set_name(c->witness_user, value, "user", why);
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

bool config_group_parse(char group[static POLICY_NAME_SIZE], const char *text, struct error *why)
{
    if (!profile_name_is_valid(text))
        return error_set(why, "'%s' is not the name of a group: expected 1 to 32 of a-z, 0-9 and -",
                         text);
    strcpy(group, text);
    return true;
}

static bool set_group(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return config_group_parse(c->group, value, why);
}

static bool set_member(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    return member_parse(c->member, value, why);
}

static bool add_peer(void *into, const char *word, struct error *why)
{
    struct config *c = into;
    const unsigned most = sizeof c->peers / sizeof *c->peers;

    if (c->peer_count == most)
        return error_set(why, "more than %u peers", most);
    if (!member_parse(c->peers[c->peer_count], word, why))
        return false;
    c->peer_count++;
    return true;
}

static bool set_peers(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_peer, into, why);
}

static bool add_shared(void *into, const char *word, struct error *why)
{
    struct config *c = into;
    struct address address;

    if (!address_parse(&address, word))
        return error_set(why, "'%s' is not an IP address: expected one such as 192.0.2.9 or "
                              "2001:db8::9, without a length or brackets", word);
    if (!address_is_grantable(&address))
        return error_set(why, "%s cannot be an address that clients knock at: it is unspecified, "
                              "loopback, link-local, multicast or broadcast", word);
    if (config_shares(c, &address))
        return true;
    if (c->shared_count == CONFIG_SHARED_ADDRESSES)
        return error_set(why, "more than %d shared addresses", CONFIG_SHARED_ADDRESSES);
    c->shared[c->shared_count++] = address;
    return true;
}

static bool set_shared(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_shared, into, why);
}

static bool set_roster_key(void *into, const char *value, struct error *why)
{
    struct config *c = into;

    if (c->roster_key_count == CONFIG_ROSTER_KEYS)
        return error_set(why, "more than %d keys", CONFIG_ROSTER_KEYS);
    return key_parse(c->roster_keys[c->roster_key_count], value, why) && ++c->roster_key_count > 0;
}

/* The value of one RosterServices line, word by word: SERVICE, or SERVICE -> DESTINATION. */
struct bounding {
    struct config *config;
    struct helper_destination *last; /* NULL before the first service */
    bool expects_destination;
};

static bool add_bound(void *into, const char *word, struct error *why)
{
    struct bounding *b = into;
    struct config *c = b->config;

    if (b->expects_destination) {
        b->expects_destination = false;
        return destination_parse(b->last, word, why);
    }
    if (strcmp(word, "->") == 0) {
        b->expects_destination = b->last && b->last->port == 0;
        return b->expects_destination ||
               error_set(why, "expected a service before '->', such as "
                              "tcp/2222 -> 192.168.1.10:22");
    }
    if (c->roster_service_count == SHUT_SERVICES)
        return error_set(why, "more than %d services", SHUT_SERVICES);
    b->last = &c->roster_services[c->roster_service_count++];
    return service_parse(&b->last->service, word, why);
}

static bool set_roster_services(void *into, const char *value, struct error *why)
{
    struct bounding bounding = {.config = into};

    if (!settings_each_word(value, add_bound, &bounding, why))
        return false;
    return !bounding.expects_destination ||
           error_set(why, "expected a destination after '->', such as 192.168.1.10:22");
}

static void print_roster_services(const struct config *c, FILE *out)
{
    char service[SERVICE_TEXT_SIZE], text[DESTINATION_TEXT_SIZE];

    for (unsigned i = 0; i < c->roster_service_count; i++) {
        const struct helper_destination *bound = &c->roster_services[i];

        fprintf(out, "RosterServices = %s%s%s\n", service_format(&bound->service, service),
                bound->port != 0 ? " -> " : "",
                bound->port != 0 ? destination_format(bound, text) : "");
    }
}

static bool add_roster_profile(void *into, const char *word, struct error *why)
{
    struct config *c = into;

    if (c->roster_profile_count == CONFIG_ROSTER_PROFILES)
        return error_set(why, "more than %d names", CONFIG_ROSTER_PROFILES);
    if (strlen(word) >= POLICY_NAME_SIZE ||
        word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-*")] != '\0')
        return error_set(why, "'%s' is not a name of profiles: expected 1 to 32 of a-z, 0-9 and -, "
                              "or * for any of these, as in ops-*", word);
    strcpy(c->roster_profiles[c->roster_profile_count++], word);
    return true;
}

static bool set_roster_profiles(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_roster_profile, into, why);
}

static const struct setting settings[] = {
    {"Interface", set_interface, true},
    {"Port", set_port, false},
    {"Transports", set_transports, true},
    {"Backend", set_backend, false},
    {"Shut", set_shut, true},
    {"ShutWith", set_shut_with, false},
    {"Forward", set_forward, false},
    {"AcceptMark", set_accept_mark, false},
    {"MaxSkew", set_max_skew, false},
    {"Window", set_window, false},
    {"MaxWindow", set_max_window, false},
    {"GrantStore", set_grant_store, false},
    {"MaxGrants", set_max_grants, false},
    {"User", set_user, false},
    {"WitnessUser", set_witness_user, false},
    {"ControlGroup", set_control_group, false},
    {"ProfileDirectory", set_profile_directory, false},
    {"StateDirectory", set_state_directory, false},
    {"RunDirectory", set_run_directory, false},
    {"MetricsFile", set_metrics_file, false},
    {"Group", set_group, false},
    {"Member", set_member, false},
    {"Peers", set_peers, true},
    {"SharedAddress", set_shared, true},
    {"RosterKey", set_roster_key, true},
    {"RosterServices", set_roster_services, true},
    {"RosterProfiles", set_roster_profiles, true},
};

/* `nft` would be taken for nftables, and to close is to end a grant. */
static const struct old_word old_words[] = {
    {"nft", "Backend", "iptables-nft"},
    {"legacy", "Backend", "iptables-legacy"},
    {"Close", "Shut", NULL},
    {"CloseWith", "ShutWith", NULL},
    {NULL, NULL, NULL},
};

const struct settings_table config_table = {"Portsmith", settings,
                                            sizeof settings / sizeof *settings, old_words, NULL};

const struct config config_defaults = {
    .backend = BACKEND_AUTO,
    .skew_checked = true,
    .max_skew = 300,
    .window = 30,
    .max_window = 600,
    .max_grants = 1000,
    .user = "portsmith",
    .witness_user = "portsmith-witness",
    .profile_directory = "/etc/portsmith.d",
    .state_directory = "/var/lib/portsmith",
    .run_directory = "/run/portsmith",
};

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

void config_print_keys(const struct config *c, FILE *out)
{
    char skew[TIMESPAN_TEXT_SIZE], window[TIMESPAN_TEXT_SIZE], most[TIMESPAN_TEXT_SIZE];
    char shared[ADDRESS_TEXT_SIZE];
    char key[KEY_TEXT_SIZE];

    fputs("[Portsmith]\n", out);
    print_interfaces(c, out);
    fprintf(out, "Port = %u\n", c->port);
    print_transports(c, out);
    fprintf(out, "Backend = %s\n", backend_name(c->backend));
    profile_print_services("Shut", c->shut, c->shut_count, out);
    fprintf(out, "ShutWith = %s\nForward = %s\n", c->shut_with_reset ? "reset" : "drop",
            c->forward ? "yes" : "no");
    if (c->accept_mark != 0)
        fprintf(out, "AcceptMark = 0x%x\n", c->accept_mark);
    fprintf(out, "MaxSkew = %s\n", c->skew_checked ? timespan_format(c->max_skew, skew) : "off");
    fprintf(out, "Window = %s\nMaxWindow = %s\n", timespan_format(c->window, window),
            timespan_format(c->max_window, most));
    fprintf(out, "GrantStore = %s\nMaxGrants = %u\nUser = %s\nWitnessUser = %s\n",
            stores[c->grant_store], c->max_grants, c->user, c->witness_user);
    if (c->control_group[0] != '\0')
        fprintf(out, "ControlGroup = %s\n", c->control_group);
    fprintf(out, "ProfileDirectory = %s\nStateDirectory = %s\nRunDirectory = %s\n",
            c->profile_directory, c->state_directory, c->run_directory);
    if (c->metrics_file[0])
        fprintf(out, "MetricsFile = %s\n", c->metrics_file);
    if (c->group[0] != '\0')
        fprintf(out, "Group = %s\nMember = %s\n", c->group, c->member);
    for (unsigned i = 0; i < c->peer_count; i++)
        fprintf(out, "Peers = %s\n", c->peers[i]);
    for (unsigned i = 0; i < c->shared_count; i++)
        fprintf(out, "SharedAddress = %s\n", address_format(&c->shared[i], shared));
    for (unsigned i = 0; i < c->roster_key_count; i++)
        fprintf(out, "RosterKey = %s\n", key_format(c->roster_keys[i], key));
    print_roster_services(c, out);
    for (unsigned i = 0; i < c->roster_profile_count; i++)
        fprintf(out, "RosterProfiles = %s\n", c->roster_profiles[i]);
}
