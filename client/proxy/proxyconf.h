/* The proxy's own configuration. The format is that of portsmith-proxy(1). */
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
    bool listens_by_default; /* no Listen was given: one of them may be missing */
    struct socks_account account;
    bool serves_any_user;       /* of this machine, where there is no password */
    bool refuses_others;        /* destinations that are no server's */
    bool closes_after;          /* a close knock follows the last connection */
    uint32_t handshake_timeout; /* seconds, as the next two */
    uint32_t connect_timeout;
    uint32_t idle_timeout;
    uint32_t max_connections;
};

/* What holds without a file, in locked memory, given back with proxyconf_free; NULL with
 * the reason. */
struct proxy_config *proxyconf_new(struct error *why);

/* Reads the file at `path` into *config, fresh from proxyconf_new. Errors name file and
 * line; errno is ENOENT exactly when there is no such file. A file with a password must
 * not be readable by others. Listening elsewhere than on loopback without a password is
 * an error. */
bool proxyconf_read(struct proxy_config *config, const char *path, struct error *why);

/* 127.0.0.0/8 or ::1. */
bool proxyconf_is_loopback(const struct sockaddr *address);

/* Wipes and frees; NULL is allowed. */
void proxyconf_free(struct proxy_config *config);

#endif
