#include "listeners.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { LINE_SIZE = 256, TCP_LISTEN_STATE = 0x0a, UDP_UNCONNECTED_STATE = 0x07 };

/* As words of 32 bits in the host's byte order, in hexadecimal. */
static bool is_loopback(const char *address)
{
    struct in6_addr v6;
    unsigned word[4];

    if (strlen(address) == 8)
        return sscanf(address, "%8x", &word[0]) == 1 && (ntohl(word[0]) >> 24) == IN_LOOPBACKNET;
    if (sscanf(address, "%8x%8x%8x%8x", &word[0], &word[1], &word[2], &word[3]) != 4)
        return false;
    memcpy(&v6, word, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6);
}

static enum listeners judge_line(const char *line, const struct service *service)
{
    unsigned wanted = service->protocol == IPPROTO_TCP ? TCP_LISTEN_STATE : UDP_UNCONNECTED_STATE;
    unsigned port, state;
    char address[33];

    if (sscanf(line, "%*s %32[0-9A-F]:%x %*s %x", address, &port, &state) != 3 ||
        port != service->port || state != wanted)
        return LISTENERS_NONE;
    return is_loopback(address) ? LISTENERS_LOCAL : LISTENERS_REACHABLE;
}

static enum listeners search_file(const char *path, const struct service *service)
{
    enum listeners found = LISTENERS_NONE;
    FILE *file = fopen(path, "re");
    char line[LINE_SIZE];

    while (file && found != LISTENERS_REACHABLE && fgets(line, sizeof line, file)) {
        enum listeners one = judge_line(line, service);

        found = one > found ? one : found;
    }
    if (file)
        fclose(file);
    return found;
}

enum listeners listeners_find(const struct service *service)
{
    const char *const ipv4 = service->protocol == IPPROTO_TCP ? "/proc/net/tcp" : "/proc/net/udp";
    const char *const ipv6 = service->protocol == IPPROTO_TCP ? "/proc/net/tcp6" : "/proc/net/udp6";
    enum listeners one = search_file(ipv4, service), other = search_file(ipv6, service);

    return one > other ? one : other;
}
