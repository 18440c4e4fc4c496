/* The proxy's own configuration. portsmith-proxy(1) describes the format. */
#ifndef PORTSMITH_PROXYCONF_H
#define PORTSMITH_PROXYCONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "client/proxy/socks.h"
#include "common/error.h"

enum { PROXY_LISTENERS = 8 };

struct proxy_config {
    struct sockaddr_storage listen[PROXY_LISTENERS];
    unsigned listen_count;
    bool listens_by_default; /* without Listen: addresses that this machine lacks are left out */
    struct socks_account account;
    bool serves_any_user;       /* of this machine; matters only without a password */
    bool refuses_others;        /* refuse destinations that belong to no server */
    bool closes_after;          /* knock to close after the last connection */
    uint32_t handshake_timeout; /* seconds, as in the next two */
    uint32_t connect_timeout;
    uint32_t idle_timeout;
    uint32_t max_connections;
};

/* The configuration that holds without a file. It is in locked memory, and the caller gives it back
 * with proxyconf_free. NULL with the reason. */
struct proxy_config *proxyconf_new(struct error *why);

/* Reads the file at `path` into *config, which is fresh from proxyconf_new. A file with a
 * password must not be readable by others. Without a password, an address to listen at that is
 * not loopback is an error. False with the reason, which names file and line. errno is then
 * ENOENT exactly if there is no such file. */
bool proxyconf_read(struct proxy_config *config, const char *path, struct error *why);

/* Whether the address is in 127.0.0.0/8 or is ::1. */
bool proxyconf_is_loopback(const struct sockaddr *address);

/* Wipes and frees the configuration. NULL is allowed. */
void proxyconf_free(struct proxy_config *config);

#endif
