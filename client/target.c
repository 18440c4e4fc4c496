#include "target.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_known(const struct target *targets, unsigned count, const struct addrinfo *info)
{
    for (unsigned i = 0; i < count; i++)
        if (targets[i].size == info->ai_addrlen &&
            memcmp(&targets[i].to, info->ai_addr, info->ai_addrlen) == 0)
            return true;
    return false;
}

static const char *family_name(int family)
{
    return family == AF_INET ? "IPv4 " : family == AF_INET6 ? "IPv6 " : "";
}

unsigned target_resolve(struct target targets[static TARGETS_MAX], const char *host,
                        uint16_t port, int family, struct error *why)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char service[sizeof "65535"];
    unsigned count = 0;
    int failure;

    snprintf(service, sizeof service, "%u", port);
    failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0) {
        error_set(why, "%s: no %saddress found: %s; check the name and this machine's network",
                  host, family_name(family),
                  failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
        return 0;
    }
    for (const struct addrinfo *info = found; info && count < TARGETS_MAX; info = info->ai_next) {
        if (is_known(targets, count, info))
            continue;
        memcpy(&targets[count].to, info->ai_addr, info->ai_addrlen);
        targets[count++].size = info->ai_addrlen;
    }
    freeaddrinfo(found);
    return count;
}

void target_set_port(struct target *target, uint16_t port)
{
    if (target->to.ss_family == AF_INET)
        ((struct sockaddr_in *)&target->to)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&target->to)->sin6_port = htons(port);
}

/* Connecting such a socket sends nothing: it picks the route, and with it the address
 * that the connection after the knock will come from. */
static int connect_socket(const struct target *target, int type, int protocol,
                          struct address *source, struct error *why)
{
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    int fd = socket(target->to.ss_family, type | SOCK_CLOEXEC, protocol);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&target->to, target->size) != 0 ||
        getsockname(fd, (struct sockaddr *)&local, &size) != 0 ||
        !address_from_sockaddr(source, (const struct sockaddr *)&local)) {
        error_set(why, "%s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

int target_connect(const struct target *target, struct address *source, struct error *why)
{
    return connect_socket(target, SOCK_DGRAM, 0, source, why);
}

int target_connect_by(const struct target *target, int type, int protocol, struct address *source,
                      struct error *why)
{
    struct target portless = *target;

    /* To a raw IPv6 socket the port is a protocol (raw(7), ipv6(7)). */
    if (portless.to.ss_family == AF_INET6)
        target_set_port(&portless, 0);
    return connect_socket(&portless, type, protocol, source, why);
}

const char *target_format(const struct target *target, char text[static TARGET_TEXT_SIZE])
{
    if (getnameinfo((const struct sockaddr *)&target->to, target->size, text, TARGET_TEXT_SIZE,
                    NULL, 0, NI_NUMERICHOST) != 0)
        strcpy(text, "?");
    return text;
}
