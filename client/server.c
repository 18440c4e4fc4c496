#include "client/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "client/agent.h"
#include "client/paths.h"
#include "client/platform/platform.h"
#include "client/target.h"
#include "common/file.h"
#include "common/text/keys.h"
#include "common/text/timespan.h"

/* What host names and names of servers consist of, beside some punctuation. */
static const char letters_and_digits[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool server_name_is_valid(const char *name)
{
    size_t plain = strspn(name, letters_and_digits);
    size_t size = strlen(name);

    if (plain == 0 || size >= SERVER_NAME_SIZE)
        return false;
    while (name[plain] != '\0') {
        if (!strchr("._-", name[plain]))
            return false;
        plain++;
        plain += strspn(name + plain, letters_and_digits);
    }
    return true;
}

struct server *server_new(struct error *why)
{
    struct server *server = sodium_malloc(sizeof *server);

    if (server)
        memset(server, 0, sizeof *server);
    else
        error_set(why, "out of memory");
    return server;
}

void server_free(struct server *server)
{
    sodium_free(server);
}

/* ---- single values ------------------------------------------------------- */

bool server_set_host(void *server, const char *value, struct error *why)
{
    struct server *s = server;
    size_t size = strlen(value);
    struct address address;
    bool valid = size > 0 && size < sizeof s->host && value[0] != '-';

    for (size_t i = 0; valid && i < size; i++)
        valid = strchr(letters_and_digits, value[i]) || strchr("._-:%", value[i]);
    if (!valid)
        return error_set(why, "'%s' is not a host name or an IP address; IPv6 is written without "
                              "brackets", value);
    if (address_parse_scoped(&address, value) && !target_is_possible(&address, value, why))
        return false;
    memcpy(s->host, value, size + 1);
    return true;
}

bool server_set_port(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    return port_parse(&s->port, value, why);
}

bool server_set_transport(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    return transport_parse(&s->transport, value, why);
}

bool server_set_public_key(void *server, const char *value, struct error *why)
{
    static const uint8_t any_secret[KEY_SIZE] = {1};
    struct server *s = server;
    uint8_t unused[KEY_SIZE];

    if (!key_parse(s->public_key, value, why))
        return false;
    /* A point of low order gives the same shared secret with every key, and is refused here. */
    if (crypto_scalarmult(unused, any_secret, s->public_key) != 0)
        return error_set(why, "not a usable public key of a server");
    s->has_public_key = true;
    return true;
}

/* `value` is a service and a port, such as "tcp/22 2222". */
static bool parse_connect_port(struct connect_port *c, const char *value, struct error *why)
{
    size_t size = strcspn(value, " \t");
    const char *port = value + size + strspn(value + size, " \t");
    char word[SETTINGS_LINE_MAX + 1];
    struct service service;

    snprintf(word, sizeof word, "%.*s", (int)size, value);
    if (*port == '\0')
        return error_set(why, "expected a service and the port to connect to, such as tcp/22 2222");
    if (!service_parse(&service, word, why) || !port_parse(&c->port, port, why))
        return false;
    c->service = service.port;
    return service.protocol == IPPROTO_TCP ||
           error_set(why, "'%s' is not TCP: nothing here connects to it", word);
}

bool server_set_connect_port(void *server, const char *value, struct error *why)
{
    struct server *s = server;
    struct connect_port c = {0};

    if (!parse_connect_port(&c, value, why))
        return false;
    for (uint8_t i = 0; i < s->connect_port_count; i++) {
        if (s->connect_ports[i].service == c.service)
            return error_set(why, "tcp/%u has one already", c.service);
        if (s->connect_ports[i].port == c.port)
            return error_set(why, "%u leads to tcp/%u already", c.port,
                             s->connect_ports[i].service);
    }
    if (s->connect_port_count == REQUEST_SERVICES)
        return error_set(why, "%d at most", REQUEST_SERVICES);
    s->connect_ports[s->connect_port_count++] = c;
    return true;
}

static bool add_member(void *server, const char *word, struct error *why)
{
    struct server *s = server;
    struct address address;

    if (s->member_count == MEMBERS_MAX)
        return error_set(why, "a group has %d members at most", MEMBERS_MAX);
    if (address_parse_scoped(&address, word) && !target_is_possible(&address, word, why))
        return false;
    if (!member_parse(s->members[s->member_count], word, why))
        return false;
    for (uint8_t i = 0; i < s->member_count; i++)
        if (strcasecmp(s->members[i], word) == 0)
            return error_set(why, "%s is a member already", word);
    s->member_count++;
    return true;
}

bool server_set_members(void *server, const char *value, struct error *why)
{
    return settings_each_word(value, add_member, server, why);
}

bool server_set_window(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    return timespan_parse(&s->window, value, why);
}

bool server_set_address(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    if (strcmp(value, "auto") == 0)
        s->address.source = ADDRESS_AUTO;
    else if (strcmp(value, "observed") == 0)
        s->address.source = ADDRESS_OBSERVED;
    else if (!address_parse(&s->address.given, value))
        return error_set(why, "'%s' is not auto, observed or an IP address", value);
    else if (!address_is_grantable(&s->address.given))
        return error_set(why, "no server opens a port to '%s'%s: expected the address that the "
                              "server sees you at", value,
                         address_is_link_local(&s->address.given)
                             ? ", which is link-local, so that another host can have it on another "
                               "link"
                             : "");
    else
        s->address.source = ADDRESS_GIVEN;
    return true;
}

static bool set_path(char path[static PATH_MAX], const char *value, const char *of,
                     struct error *why)
{
    if (value[0] == '\0' || strlen(value) >= PATH_MAX)
        return error_set(why, "expected the path of an %s", of);
    strcpy(path, value);
    return true;
}

bool server_set_identity(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    return set_path(s->identity, value, "identity", why);
}

bool server_set_agent(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    return set_path(s->agent, value, "ssh-agent's socket", why);
}

bool server_set_ssh_key(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    s->has_ssh_key = true;
    return ssh_key_parse(&s->ssh_key, value, why);
}

bool server_set_preshared(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    s->has_preshared = true;
    return key_parse(s->preshared, value, why);
}

bool server_add_service(void *server, const char *word, struct error *why)
{
    struct server *s = server;
    struct service services[REQUEST_SERVICES + 1];
    uint8_t count = s->service_count;

    memcpy(services, s->services, sizeof s->services);
    if (!service_parse(&services[count], word, why))
        return false;
    count = request_order_services(services, (uint8_t)(count + 1));
    if (count > REQUEST_SERVICES)
        return error_set(why, "a knock can name %d services at most; name none for all that the "
                              "profile permits", REQUEST_SERVICES);
    memcpy(s->services, services, sizeof s->services);
    s->service_count = count;
    return true;
}

/* ---- where to connect to ------------------------------------------------- */

uint16_t server_connect_port(const struct server *server, uint16_t service)
{
    for (uint8_t i = 0; i < server->connect_port_count; i++)
        if (server->connect_ports[i].service == service)
            return server->connect_ports[i].port;
    return service;
}

uint16_t server_service_port(const struct server *server, uint16_t port)
{
    uint16_t service = port;

    for (uint8_t i = 0; i < server->connect_port_count; i++) {
        if (server->connect_ports[i].service == port)
            return port;
        if (server->connect_ports[i].port == port)
            service = server->connect_ports[i].service;
    }
    return service;
}

unsigned server_doors(const struct server *server, struct service doors[static REQUEST_SERVICES])
{
    unsigned count = 0;

    for (uint8_t i = 0; i < server->service_count; i++)
        if (server->services[i].protocol == IPPROTO_TCP)
            doors[count++] = (struct service){
                IPPROTO_TCP, server_connect_port(server, server->services[i].port)};
    return count;
}

/* ---- the file ------------------------------------------------------------ */

static bool set_service(void *server, const char *value, struct error *why)
{
    return settings_each_word(value, server_add_service, server, why);
}

static const struct setting settings[] = {
    SERVER_SETTINGS(set_service),
    {"Identity", server_set_identity, false},
};

const struct old_word server_old_words[] = {{"Open", "Service", NULL}, {NULL, NULL, NULL}};

static const struct settings_table table = {"Server", settings, sizeof settings / sizeof *settings,
                                            server_old_words, NULL};

static const char *missing_key(const struct server *server)
{
    return server->host[0] == '\0' ? "Host"
         : server->port == 0       ? "Port"
         : !server->has_public_key ? "PublicKey"
                                   : NULL;
}

bool server_check(const struct server *server, const char *path, const char *section,
                  struct error *why)
{
    const char *missing = missing_key(server);

    if (missing)
        return error_set(why, "%s: %s is missing from [%s]", path, missing, section);
    if (server->agent[0] != '\0' && !server->has_ssh_key)
        return error_set(why, "%s: IdentityAgent goes with SSHKey, which is missing from [%s]", path,
                         section);
    if (!server->has_ssh_key)
        return true;
    if (server->identity[0] != '\0')
        return error_set(why, "%s: SSHKey and Identity exclude each other: keep the one that the "
                              "profile on the server has", path);
    return server->has_preshared ||
           error_set(why, "%s: SSHKey needs PresharedKey, which is missing from [%s]: it hides the "
                          "knocks, and portsmith-profile has printed it on the server", path,
                     section);
}

/* Completes a path that the server file at `file` names. agent_path puts the home directory before
 * the agent's: who asks no agent needs no home. */
static bool place(char path[static PATH_MAX], const char *file, struct error *why)
{
    const char *slash = platform_last_separator(file);
    char name[PATH_MAX], directory[PATH_MAX];

    strcpy(name, path);
    if (platform_is_absolute(name))
        return true;
    if (strncmp(name, "~/", 2) == 0)
        return path_home(directory, why) && path_join(path, directory, name + 2, "", why);
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - file) : 1,
             slash ? file : ".");
    return path_join(path, directory, name, "", why);
}

static bool place_paths(struct server *server, const char *file, struct error *why)
{
    if (server->has_ssh_key)
        return server->agent[0] == '\0' || strcmp(server->agent, AGENT_VARIABLE) == 0 ||
               strncmp(server->agent, "~/", 2) == 0 || place(server->agent, file, why);
    if (server->identity[0] == '\0')
        strcpy(server->identity, "identity");
    return place(server->identity, file, why);
}

bool server_read(struct server *server, const char *path, struct error *why)
{
    char real[PATH_MAX];

    errno = 0;
    return path_follow(real, path, why) &&
           settings_read(real, FILE_CONFIGURATION, &table, server, &server->notes, why) &&
           server_check(server, path, "Server", why) && place_paths(server, path, why) &&
           (!server->has_preshared || file_is_trusted(real, FILE_SECRET, why));
}

/* ---- as text ------------------------------------------------------------- */

_Static_assert(SERVER_HOST_SIZE + KEY_TEXT_SIZE + SSH_KEY_LINE_SIZE + REQUEST_SERVICES * SERVICE_TEXT_SIZE +
                   REQUEST_SERVICES * sizeof "ConnectPort = tcp/65535 65535\n" +
                   MEMBERS_MAX * (sizeof "Member = \n" + MEMBER_NAME_SIZE) +
                   TIMESPAN_TEXT_SIZE + ADDRESS_TEXT_SIZE + 120 < SERVER_TEXT_SIZE,
               "every line fits");

__attribute__((format(printf, 2, 3)))
static void append(char text[static SERVER_TEXT_SIZE], const char *format, ...)
{
    size_t size = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + size, SERVER_TEXT_SIZE - size, format, arguments);
    va_end(arguments);
}

const char *server_format_address(const struct server *server,
                                  char text[static ADDRESS_TEXT_SIZE])
{
    if (server->address.source == ADDRESS_GIVEN)
        return address_format(&server->address.given, text);
    return strcpy(text, server->address.source == ADDRESS_AUTO ? "auto" : "observed");
}

size_t server_format(const struct server *server, char text[static SERVER_TEXT_SIZE])
{
    char key[KEY_TEXT_SIZE], window[TIMESPAN_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
    char services[REQUEST_SERVICES * SERVICE_TEXT_SIZE], line[SSH_KEY_LINE_SIZE];

    text[0] = '\0';
    append(text, "Host = %s\n", server->host);
    for (uint8_t i = 0; i < server->member_count; i++)
        append(text, "Member = %s\n", server->members[i]);
    append(text, "Port = %u\n", server->port);
    if (server->transport != TRANSPORT_UDP)
        append(text, "Transport = %s\n", transport_name(server->transport));
    append(text, "PublicKey = %s\n", key_format(server->public_key, key));
    if (server->has_ssh_key)
        append(text, "SSHKey = %s\n", ssh_key_format(&server->ssh_key, line));
    if (server->service_count > 0)
        append(text, "Service = %s\n", services_format(server->services, server->service_count,
                                                       services, sizeof services));
    for (uint8_t i = 0; i < server->connect_port_count; i++)
        append(text, "ConnectPort = tcp/%u %u\n", server->connect_ports[i].service,
               server->connect_ports[i].port);
    if (server->window > 0)
        append(text, "Window = %s\n", timespan_format(server->window, window));
    if (server->address.source != ADDRESS_AUTO)
        append(text, "Address = %s\n", server_format_address(server, address));
    return strlen(text);
}
