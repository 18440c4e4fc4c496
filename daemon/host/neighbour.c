#include "daemon/host/neighbour.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "privsep/netlink.h"

enum { TRIES = 30, TRY_NS = 50 * 1000 * 1000 }; /* the kernel asks once a second */

/* As the kernel has it: four bytes of IPv4, or sixteen. */
static struct span bytes_of(const struct address *a)
{
    const size_t size = address_is_ipv4(a) ? 4 : sizeof a->bytes;

    return (struct span){a->bytes + sizeof a->bytes - size, size};
}

static unsigned char family_of(const struct address *a)
{
    return address_is_ipv4(a) ? AF_INET : AF_INET6;
}

/* ---- the way there ---------------------------------------------------------- */

struct way {
    unsigned char type; /* RTN_UNSPEC: there is none */
    bool has_gateway;
    uint32_t interface;
};

static void take_route(void *into, struct span answer)
{
    struct way *way = into;
    struct rtmsg header;
    struct span found;

    if (answer.size < sizeof header)
        return;
    memcpy(&header, answer.bytes, sizeof header);
    found = (struct span){answer.bytes + sizeof header, answer.size - sizeof header};
    way->type = header.rtm_type;
    way->has_gateway =
        netlink_find(found, RTA_GATEWAY).bytes || netlink_find(found, RTA_VIA).bytes;
    netlink_read(found, RTA_OIF, &way->interface, sizeof way->interface);
}

/* The acknowledgement ends the answer. */
static struct way find_way(int *fd, const struct address *to)
{
    const struct span bytes = bytes_of(to);
    const struct rtmsg header = {.rtm_family = family_of(to),
                                 .rtm_dst_len = (unsigned char)(8 * bytes.size)};
    struct way way = {.type = RTN_UNSPEC};
    union question q;

    netlink_begin(&q, RTM_GETROUTE, NLM_F_ACK);
    netlink_put(&q, &header, sizeof header);
    netlink_put_attribute(&q, RTA_DST, bytes.bytes, bytes.size);
    netlink_ask(fd, &q, take_route, &way);
    return way;
}

/* ---- the MAC address -------------------------------------------------------- */

struct search {
    struct neighbour *neighbour;
    uint32_t interface;
    bool found;
};

static void take_entry(void *into, struct span answer)
{
    enum { USABLE = NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE };

    struct search *search = into;
    const struct span wanted = bytes_of(&search->neighbour->address);
    struct ndmsg header;
    struct span found, address;

    if (answer.size < sizeof header)
        return;
    memcpy(&header, answer.bytes, sizeof header);
    found = (struct span){answer.bytes + sizeof header, answer.size - sizeof header};
    address = netlink_find(found, NDA_DST);
    if ((uint32_t)header.ndm_ifindex == search->interface && (header.ndm_state & USABLE) &&
        address.size == wanted.size && memcmp(address.bytes, wanted.bytes, wanted.size) == 0)
        search->found |=
            netlink_read(found, NDA_LLADDR, search->neighbour->mac, NEIGHBOUR_MAC_SIZE);
}

/* Looks into the whole table: kernels before Linux 5.0 tell of no single entry. */
static bool is_in_table(int *fd, struct search *search)
{
    const struct ndmsg header = {.ndm_family = family_of(&search->neighbour->address)};
    union question q;

    netlink_begin(&q, RTM_GETNEIGH, NLM_F_DUMP);
    netlink_put(&q, &header, sizeof header);
    netlink_ask(fd, &q, take_entry, search);
    return search->found;
}

/* Has the kernel ask for the MAC address, as if a packet were to be sent (NTF_USE). */
static void look_for(int *fd, const struct search *search)
{
    const struct span bytes = bytes_of(&search->neighbour->address);
    const struct ndmsg header = {.ndm_family = family_of(&search->neighbour->address),
                                 .ndm_ifindex = (int)search->interface,
                                 .ndm_flags = NTF_USE};
    union question q;

    netlink_begin(&q, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE);
    netlink_put(&q, &header, sizeof header);
    netlink_put_attribute(&q, NDA_DST, bytes.bytes, bytes.size);
    netlink_ask(fd, &q, NULL, NULL);
}

static bool find_mac(int *fd, struct search *search)
{
    const struct timespec pause = {.tv_nsec = TRY_NS};

    if (is_in_table(fd, search))
        return true;
    look_for(fd, search);
    for (int i = 0; i < TRIES && !is_in_table(fd, search); i++)
        nanosleep(&pause, NULL);
    return search->found;
}

/* ---- the whole -------------------------------------------------------------- */

static enum neighbour_state find(int *fd, struct neighbour *n)
{
    const struct way way = find_way(fd, &n->address);
    struct search search = {.neighbour = n, .interface = way.interface};

    if (way.type == RTN_LOCAL)
        return NEIGHBOUR_SELF;
    if (way.type != RTN_UNICAST || way.has_gateway || !if_indextoname(way.interface, n->interface))
        return NEIGHBOUR_BEYOND;
    return find_mac(fd, &search) ? NEIGHBOUR_KNOWN : NEIGHBOUR_SILENT;
}

enum neighbour_state neighbour_find(struct neighbour *n, const struct address *address)
{
    enum neighbour_state state;
    int fd = netlink_open(NETLINK_ROUTE);

    *n = (struct neighbour){.address = *address};
    state = find(&fd, n);
    if (fd >= 0)
        close(fd);
    return state;
}

const char *neighbour_format_mac(const struct neighbour *n,
                                 char text[static NEIGHBOUR_MAC_TEXT_SIZE])
{
    const uint8_t *m = n->mac;

    snprintf(text, NEIGHBOUR_MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
             m[4], m[5]);
    return text;
}
