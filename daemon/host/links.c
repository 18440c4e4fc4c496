#include "daemon/host/links.h"

#include <ifaddrs.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { LINE_SIZE = 256 };

/* Whether a line of /proc/net/route or /proc/net/ipv6_route is a default route, and of which
 * interface (proc(5)). An IPv4 line has the name first, then the destination; the mask is its
 * eighth word. An IPv6 line has the destination first, then its length; the name is its last
 * word. Loopback has an IPv6 default route that refuses everything, which does not count. */
static bool names_default_route(const char *line, int family, char name[static IFNAMSIZ])
{
    char destination[33], mask[9];

    if (family == AF_INET)
        return sscanf(line, "%15s %8s %*s %*s %*s %*s %*s %8s", name, destination, mask) == 3 &&
               strcmp(destination, "00000000") == 0 && strcmp(mask, "00000000") == 0;
    return sscanf(line, "%32s %8s %*s %*s %*s %*s %*s %*s %*s %15s", destination, mask,
                  name) == 3 &&
           strcmp(mask, "00") == 0 && strcmp(name, "lo") != 0;
}

static void find_default_routes(struct link *links, size_t count, const char *path, int family)
{
    FILE *file = fopen(path, "re");
    char line[LINE_SIZE], name[IFNAMSIZ];

    while (file && fgets(line, sizeof line, file))
        for (size_t i = 0; names_default_route(line, family, name) && i < count; i++)
            if (strcmp(links[i].name, name) == 0)
                links[i].has_default_route = true;
    if (file)
        fclose(file);
}

size_t links_find(struct link links[static LINKS_MAX])
{
    struct ifaddrs *all;
    size_t count = 0;

    if (getifaddrs(&all) != 0)
        return 0;
    for (const struct ifaddrs *one = all; one && count < LINKS_MAX; one = one->ifa_next) {
        const struct rtnl_link_stats *statistics = one->ifa_data;

        if (one->ifa_addr && one->ifa_addr->sa_family != AF_PACKET) /* a tunnel may have none */
            continue;
        links[count] = (struct link){
            .is_up = (one->ifa_flags & IFF_UP) && (one->ifa_flags & IFF_RUNNING),
            .is_loopback = one->ifa_flags & IFF_LOOPBACK,
            .received = statistics ? statistics->rx_packets : 0};
        snprintf(links[count++].name, sizeof links->name, "%.15s", one->ifa_name);
    }
    freeifaddrs(all);
    find_default_routes(links, count, "/proc/net/route", AF_INET);
    find_default_routes(links, count, "/proc/net/ipv6_route", AF_INET6);
    return count;
}

bool links_is_watched(const struct link *link, const struct config *config)
{
    if (config->interface_count == 1 && strcmp(config->interfaces[0], "any") == 0)
        return !link->is_loopback;
    for (unsigned i = 0; i < config->interface_count; i++)
        if (strcmp(config->interfaces[i], link->name) == 0)
            return true;
    return false;
}

size_t links_of_strangers(struct link links[static LINKS_MAX], const struct config *config)
{
    bool is_any = config->interface_count == 1 && strcmp(config->interfaces[0], "any") == 0;
    size_t all = links_find(links), count = 0;
    bool only_routes = false;

    for (size_t i = 0; i < all; i++)
        only_routes |= is_any && links[i].has_default_route;
    for (size_t i = 0; i < all; i++)
        if (links_is_watched(&links[i], config) && (!only_routes || links[i].has_default_route))
            links[count++] = links[i];
    return count;
}

/* Whether Docker names a bridge so: docker0, or br- and the first digits of the network's id. */
static bool is_docker(const char *name)
{
    enum { ID = 12 }; /* hexadecimal digits */

    return strcmp(name, "docker0") == 0 ||
           (strncmp(name, "br-", 3) == 0 && strlen(name) == 3 + ID &&
            strspn(name + 3, "0123456789abcdef") == ID);
}

/* Whether the address is in the network of one of the interface's own addresses. */
static bool has_in_its_network(const struct ifaddrs *one, const struct address *to)
{
    struct address own, mask;

    if (!one->ifa_addr || !one->ifa_netmask || !address_from_sockaddr(&own, one->ifa_addr) ||
        !address_from_sockaddr(&mask, one->ifa_netmask) ||
        address_is_ipv4(&own) != address_is_ipv4(to))
        return false;
    for (size_t i = 0; i < sizeof to->bytes; i++)
        if ((own.bytes[i] ^ to->bytes[i]) & mask.bytes[i])
            return false;
    return true;
}

bool links_find_docker(const struct address *to, char name[static CONFIG_INTERFACE_NAME_SIZE])
{
    struct ifaddrs *all;
    bool found = false;

    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
        found = is_docker(one->ifa_name) && has_in_its_network(one, to);
        if (found)
            snprintf(name, CONFIG_INTERFACE_NAME_SIZE, "%.15s", one->ifa_name);
    }
    freeifaddrs(all);
    return found;
}

const struct link *links_by_name(const struct link *links, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(links[i].name, name) == 0)
            return &links[i];
    return NULL;
}
