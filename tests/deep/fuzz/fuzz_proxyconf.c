/* The configuration of portsmith-proxy. */
#include "fuzz.h"

#include <netinet/in.h>

#include "client/proxy/proxyconf.h"

static const char path[] = "/run/proxy.conf";

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

static uint16_t port_of(const struct sockaddr_storage *at)
{
    return at->ss_family == AF_INET ? ((const struct sockaddr_in *)at)->sin_port
                                    : ((const struct sockaddr_in6 *)at)->sin6_port;
}

/* Whoever is let in from elsewhere has a password. */
static void check_config(const struct proxy_config *c)
{
    bool has_password = c->account.password[0] != '\0';

    REQUIRE(has_password == (c->account.username[0] != '\0'));
    REQUIRE(memchr(c->account.username, '\0', sizeof c->account.username));
    REQUIRE(memchr(c->account.password, '\0', sizeof c->account.password));
    REQUIRE(c->listen_count > 0 && c->listen_count <= PROXY_LISTENERS);
    for (unsigned i = 0; i < c->listen_count; i++) {
        REQUIRE(c->listen[i].ss_family == AF_INET || c->listen[i].ss_family == AF_INET6);
        REQUIRE(port_of(&c->listen[i]) != 0);
        REQUIRE(has_password || proxyconf_is_loopback((const struct sockaddr *)&c->listen[i]));
    }
    REQUIRE(c->handshake_timeout > 0 && c->connect_timeout > 0 && c->idle_timeout > 0);
    REQUIRE(c->max_connections > 0 && c->max_connections <= 100000);
}

/* Where others may read it, the same unless there is a password. */
static void check_mode(bool was_read, bool has_password)
{
    struct error why = {""};
    struct proxy_config *config = proxyconf_new(&why);

    REQUIRE(config && chmod(path, 0644) == 0);
    REQUIRE(proxyconf_read(config, path, &why) == (was_read && !has_password));
    REQUIRE(chmod(path, 0600) == 0);
    proxyconf_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct error why = {""};
    struct proxy_config *config = proxyconf_new(&why);
    bool was_read;

    REQUIRE(config);
    fuzz_write(path, bytes, size);
    was_read = proxyconf_read(config, path, &why);
    if (was_read)
        check_config(config);
    else
        REQUIRE(strncmp(why.text, path, sizeof path - 1) == 0);
    check_mode(was_read, was_read && config->account.password[0] != '\0');
    proxyconf_free(config);
    return 0;
}
