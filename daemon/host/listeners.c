#include "daemon/host/listeners.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 256, TCP_LISTEN_STATE = 0x0a, UDP_UNCONNECTED_STATE = 0x07 };

/* Whether the address is of loopback. It is written as /proc/net writes addresses: as words of
 * 32 bits in the host's byte order, in hexadecimal, one for IPv4 and four for IPv6. */
static bool is_loopback(const char *address)
{
    struct in6_addr v6 = {0};

    for (size_t i = 0; i < 4 && strlen(address) >= 8 * (i + 1); i++) {
        char word[9] = "";

        memcpy(word, address + 8 * i, 8);
        v6.s6_addr32[i] = (uint32_t)strtoul(word, NULL, 16);
    }
    if (strlen(address) == 8)
        return v6.s6_addr[0] == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Where the socket of a line listens. Its port is in *port unless that is LISTENERS_NONE. */
static enum listeners read_line(const char *line, uint8_t protocol, uint16_t *port)
{
    unsigned wanted = protocol == IPPROTO_TCP ? TCP_LISTEN_STATE : UDP_UNCONNECTED_STATE;
    char address[33], number[5], state[3];

    if (sscanf(line, "%*s %32[0-9A-F]:%4s %*s %2s", address, number, state) != 3 ||
        strtoul(state, NULL, 16) != wanted)
        return LISTENERS_NONE;
    *port = (uint16_t)strtoul(number, NULL, 16);
    return is_loopback(address) ? LISTENERS_LOCAL : LISTENERS_REACHABLE;
}

static enum listeners search_file(const char *path, const struct service *service)
{
    enum listeners found = LISTENERS_NONE;
    FILE *file = fopen(path, "re");
    char line[LINE_SIZE];

    while (file && found != LISTENERS_REACHABLE && fgets(line, sizeof line, file)) {
        uint16_t port = 0;
        enum listeners one = read_line(line, service->protocol, &port);

        if (port == service->port && one > found)
            found = one;
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

static void hand_on(const char *path, uint8_t protocol, listeners_handler *handle, void *into)
{
    FILE *file = fopen(path, "re");
    char line[LINE_SIZE];

    while (file && fgets(line, sizeof line, file)) {
        struct service service = {.protocol = protocol};

        if (read_line(line, protocol, &service.port) == LISTENERS_REACHABLE)
            handle(into, &service);
    }
    if (file)
        fclose(file);
}

void listeners_each(listeners_handler *handle, void *into)
{
    hand_on("/proc/net/tcp", IPPROTO_TCP, handle, into);
    hand_on("/proc/net/tcp6", IPPROTO_TCP, handle, into);
    hand_on("/proc/net/udp", IPPROTO_UDP, handle, into);
    hand_on("/proc/net/udp6", IPPROTO_UDP, handle, into);
}
