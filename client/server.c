#include "server.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "keys.h"
#include "paths.h"
#include "timespan.h"

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

    bool valid = size > 0 && size < sizeof s->host && value[0] != '-';

    for (size_t i = 0; valid && i < size; i++)
        valid = strchr(letters_and_digits, value[i]) || strchr("._-:%", value[i]);
    if (!valid)
        return error_set(why, "'%s' is not a host name or an IP address", value);
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
    /* A point of low order gives the same shared secret with every key. */
    if (crypto_scalarmult(unused, any_secret, s->public_key) != 0)
        return error_set(why, "not a usable public key of a server");
    s->has_public_key = true;
    return true;
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
        return error_set(why, "no door can be opened to '%s'", value);
    else
        s->address.source = ADDRESS_GIVEN;
    return true;
}

bool server_set_identity(void *server, const char *value, struct error *why)
{
    struct server *s = server;

    if (value[0] == '\0' || strlen(value) >= sizeof s->identity)
        return error_set(why, "expected the path of an identity");
    strcpy(s->identity, value);
    return true;
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

/* ---- the file ------------------------------------------------------------ */

static bool set_open(void *server, const char *value, struct error *why)
{
    return settings_each_word(value, server_add_service, server, why);
}

static const struct setting settings[] = {
    {"Host", server_set_host, false},
    {"Port", server_set_port, false},
    {"Transport", server_set_transport, false},
    {"PublicKey", server_set_public_key, false},
    {"Open", set_open, true},
    {"Window", server_set_window, false},
    {"Address", server_set_address, false},
    {"Identity", server_set_identity, false},
    {"PresharedKey", server_set_preshared, false},
};

static bool is_complete(const struct server *server, const char *path, struct error *why)
{
    const char *missing = server->host[0] == '\0' ? "Host"
                        : server->port == 0       ? "Port"
                        : !server->has_public_key ? "PublicKey"
                                                  : NULL;

    return !missing || error_set(why, "%s: %s is missing from [Server]", path, missing);
}

/* An Identity that is not absolute is meant from the file's own directory. */
static bool place_identity(struct server *server, const char *path, struct error *why)
{
    const char *slash = strrchr(path, '/');
    char name[PATH_MAX], directory[PATH_MAX];

    if (server->identity[0] == '/')
        return true;
    snprintf(name, sizeof name, "%s", server->identity[0] ? server->identity : "identity");
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) : 1,
             slash ? path : ".");
    return path_join(server->identity, directory, name, "", why);
}

bool server_read(struct server *server, const char *path, struct error *why)
{
    errno = 0;
    return settings_read(path, FILE_CONFIGURATION, "Server", settings,
                         sizeof settings / sizeof *settings, server, why) &&
           is_complete(server, path, why) && place_identity(server, path, why) &&
           (!server->has_preshared || file_is_trusted(path, FILE_SECRET, why));
}

/* ---- as text ------------------------------------------------------------- */

_Static_assert(SERVER_HOST_SIZE + KEY_TEXT_SIZE + REQUEST_SERVICES * SERVICE_TEXT_SIZE +
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

static void append_services(char text[static SERVER_TEXT_SIZE], const struct server *server)
{
    char service[SERVICE_TEXT_SIZE];

    append(text, "Open =");
    for (size_t i = 0; i < server->service_count; i++)
        append(text, " %s", service_format(&server->services[i], service));
    append(text, "\n");
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

    text[0] = '\0';
    append(text, "Host = %s\nPort = %u\n", server->host, server->port);
    if (server->transport != TRANSPORT_UDP)
        append(text, "Transport = %s\n", transport_name(server->transport));
    append(text, "PublicKey = %s\n", key_format(server->public_key, key));
    if (server->service_count > 0)
        append_services(text, server);
    if (server->window > 0)
        append(text, "Window = %s\n", timespan_format(server->window, window));
    if (server->address.source != ADDRESS_AUTO)
        append(text, "Address = %s\n", server_format_address(server, address));
    return strlen(text);
}
