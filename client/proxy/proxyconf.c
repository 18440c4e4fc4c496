#include "client/proxy/proxyconf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/paths.h"
#include "common/file.h"
#include "common/service.h"
#include "common/text/settings.h"
#include "common/text/timespan.h"

enum {
    DEFAULT_PORT = 1080, /* IANA: socks */
    CONNECTIONS_MAX = 100000,
};

/* ---- single values ------------------------------------------------------- */

static bool parse_host(struct sockaddr_storage *address, const char *host, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        memcpy(address, &v4, sizeof v4);
    else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        memcpy(address, &v6, sizeof v6);
    else
        return false;
    return true;
}

/* `value` is an address and a port, such as "127.0.0.1:1080" or "[::1]:1080". */
static bool parse_listen(struct sockaddr_storage *address, const char *value, struct error *why)
{
    const char *colon = strrchr(value, ':');
    char host[INET6_ADDRSTRLEN + 2];
    size_t size = colon ? (size_t)(colon - value) : 0;
    bool bracketed = size > 2 && value[0] == '[' && value[size - 1] == ']';
    uint16_t port;

    *address = (struct sockaddr_storage){0};
    snprintf(host, sizeof host, "%.*s", (int)(bracketed ? size - 2 : size), value + bracketed);
    if (size == 0 || size >= sizeof host || bracketed != (strchr(host, ':') != NULL) ||
        !port_parse(&port, colon + 1, why) || !parse_host(address, host, port))
        return error_set(why, "'%s' is not an address and a port, such as 127.0.0.1:1080 or "
                              "[::1]:1080", value);
    return true;
}

static bool add_listen(void *into, const char *word, struct error *why)
{
    struct proxy_config *c = into;

    if (c->listens_by_default)
        c->listen_count = 0;
    c->listens_by_default = false;
    if (c->listen_count == PROXY_LISTENERS)
        return error_set(why, "at most %d addresses", PROXY_LISTENERS);
    return parse_listen(&c->listen[c->listen_count++], word, why);
}

static bool set_listen(void *into, const char *value, struct error *why)
{
    return settings_each_word(value, add_listen, into, why);
}

static bool set_string(char *to, const char *value, struct error *why)
{
    if (value[0] == '\0')
        return error_set(why, "expected a value");
    strcpy(to, value); /* it fits, as a line is shorter than SOCKS_STRING_MAX */
    return true;
}

static bool set_username(void *into, const char *value, struct error *why)
{
    return set_string(((struct proxy_config *)into)->account.username, value, why);
}

static bool set_password(void *into, const char *value, struct error *why)
{
    return set_string(((struct proxy_config *)into)->account.password, value, why);
}

/* `yes` and `no` are the words that stand for true and false. */
static bool set_choice(bool *to, const char *value, const char *yes, const char *no,
                       struct error *why)
{
    *to = strcmp(value, yes) == 0;
    return *to || strcmp(value, no) == 0 ||
           error_set(why, "'%s' is neither %s nor %s", value, yes, no);
}

static bool set_users(void *into, const char *value, struct error *why)
{
    return set_choice(&((struct proxy_config *)into)->serves_any_user, value, "any", "own", why);
}

static bool set_others(void *into, const char *value, struct error *why)
{
    return set_choice(&((struct proxy_config *)into)->refuses_others, value, "refuse", "direct",
                      why);
}

static bool set_close_after(void *into, const char *value, struct error *why)
{
    return set_choice(&((struct proxy_config *)into)->closes_after, value, "yes", "no", why);
}

static bool set_handshake_timeout(void *into, const char *value, struct error *why)
{
    return timespan_parse(&((struct proxy_config *)into)->handshake_timeout, value, why);
}

static bool set_connect_timeout(void *into, const char *value, struct error *why)
{
    return timespan_parse(&((struct proxy_config *)into)->connect_timeout, value, why);
}

static bool set_idle_timeout(void *into, const char *value, struct error *why)
{
    return timespan_parse(&((struct proxy_config *)into)->idle_timeout, value, why);
}

static bool set_max_connections(void *into, const char *value, struct error *why)
{
    struct proxy_config *c = into;
    size_t size = strlen(value);

    c->max_connections = 0;
    if (size > 0 && size <= 6 && strspn(value, "0123456789") == size)
        c->max_connections = (uint32_t)strtoul(value, NULL, 10);
    if (c->max_connections == 0 || c->max_connections > CONNECTIONS_MAX)
        return error_set(why, "'%s' is not a number from 1 to %d", value, CONNECTIONS_MAX);
    return true;
}

/* ---- the whole ----------------------------------------------------------- */

static const struct setting settings[] = {
    {"Listen", set_listen, true},
    {"Username", set_username, false},
    {"Password", set_password, false},
    {"Users", set_users, false},
    {"Others", set_others, false},
    {"CloseAfter", set_close_after, false},
    {"HandshakeTimeout", set_handshake_timeout, false},
    {"ConnectTimeout", set_connect_timeout, false},
    {"IdleTimeout", set_idle_timeout, false},
    {"MaxConnections", set_max_connections, false},
};

static const struct settings_table table = {"Proxy", settings, sizeof settings / sizeof *settings,
                                            NULL, NULL};

struct proxy_config *proxyconf_new(struct error *why)
{
    struct proxy_config *c = sodium_malloc(sizeof *c);

    if (!c) {
        error_set(why, "out of memory");
        return NULL;
    }
    *c = (struct proxy_config){
        .listen_count = 2,
        .listens_by_default = true,
        .handshake_timeout = 10,
        .connect_timeout = 15,
        .idle_timeout = 86400, /* an ssh session may well be silent overnight */
        .max_connections = 4096,
    };
    parse_host(&c->listen[0], "127.0.0.1", DEFAULT_PORT);
    parse_host(&c->listen[1], "::1", DEFAULT_PORT);
    return c;
}

void proxyconf_free(struct proxy_config *config)
{
    sodium_free(config);
}

bool proxyconf_is_loopback(const struct sockaddr *address)
{
    static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
    struct address a;

    if (!address_from_sockaddr(&a, address))
        return false;
    return address_is_ipv4(&a) ? a.bytes[12] == 127
                               : memcmp(a.bytes, &loopback, sizeof a.bytes) == 0;
}

static bool check_account(const struct proxy_config *c, const char *path, struct error *why)
{
    bool username = c->account.username[0] != '\0', password = c->account.password[0] != '\0';

    if (username != password)
        return error_set(why, "%s: Username and Password go together; %s is missing", path,
                         username ? "Password" : "Username");
    if (password && !file_is_trusted(path, FILE_SECRET, why))
        return false;
    for (unsigned i = 0; i < c->listen_count && !password; i++)
        if (!proxyconf_is_loopback((const struct sockaddr *)&c->listen[i]))
            return error_set(why, "%s: Listen: everybody who reaches an address other than "
                                  "loopback comes in through your knocks, as you; set Username "
                                  "and Password, or listen only on 127.0.0.1 and ::1", path);
    return true;
}

bool proxyconf_read(struct proxy_config *config, const char *path, struct error *why)
{
    char real[PATH_MAX];

    errno = 0;
    return path_follow(real, path, why) &&
           settings_read(real, FILE_CONFIGURATION, &table, config, NULL, why) &&
           check_account(config, real, why);
}
