/* Frames as they come off a wire, built from what is said of them. */
#ifndef PORTSMITH_FRAMES_H
#define PORTSMITH_FRAMES_H

#include <netinet/in.h>
#include <pcap/dlt.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "common/bytes.h"
#include "common/envelope.h"
#include "common/text/transport.h"

enum { RECIPE_SIZE_MAX = 4096, RECIPE_TAGS = 3, KNOCK_PORT = 47000 };

/* Zero means the usual: no tags, IPv4, UDP, right lengths; a TCP packet is a SYN, one
 * of ICMP an echo request. */
struct recipe {
    const char *name;
    int datalink;
    uint16_t tags[RECIPE_TAGS]; /* EtherTypes of VLAN tags, outermost first */
    bool ipv6;
    uint8_t option_words; /* IPv4 options, four bytes each */
    uint16_t fragment;    /* IPv4 flags and offset */
    enum transport transport;
    uint8_t tcp_words;    /* TCP options, four bytes each */
    uint8_t tcp_flags;    /* 0: SYN */
    uint16_t icmp;        /* type and code; 0: the family's echo request */
    uint8_t protocol;     /* 0: that of the transport */
    uint16_t port;        /* 0: KNOCK_PORT */
    size_t payload;       /* bytes; 0: DATAGRAM_MIN */
    size_t trailing;      /* bytes behind the IP packet */
    int ip_error, udp_error; /* added to the lengths in the headers */
    uint32_t family;      /* of DLT_NULL and DLT_LOOP, as stored in host order */
};

static const uint8_t recipe_ipv4_source[4] = {192, 0, 2, 7};
static const uint8_t recipe_ipv6_source[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};
static const uint8_t recipe_ipv4_destination[4] = {192, 0, 2, 8};
static const uint8_t recipe_ipv6_destination[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 8};

static inline uint16_t recipe_ethertype(const struct recipe *r)
{
    return r->ipv6 ? 0x86dd : 0x0800;
}

/* The EtherType that the link header holds: of the outermost tag, or of IP. */
static inline void recipe_put_type(uint8_t *at, const struct recipe *r)
{
    store_be16(at, r->tags[0] ? r->tags[0] : recipe_ethertype(r));
}

static inline size_t recipe_put_tags(uint8_t *out, const struct recipe *r)
{
    size_t n = 0;

    for (size_t i = 0; i < RECIPE_TAGS && r->tags[i]; i++) {
        bool last = i + 1 == RECIPE_TAGS || !r->tags[i + 1];

        store_be16(out + n, (uint16_t)(0x0064 + i)); /* a VLAN's number */
        store_be16(out + n + 2, last ? recipe_ethertype(r) : r->tags[i + 1]);
        n += 4;
    }
    return n;
}

static inline size_t recipe_put_family(uint8_t *out, const struct recipe *r)
{
    uint32_t family = r->family ? r->family : r->ipv6 ? AF_INET6 : AF_INET;

    if (r->datalink == DLT_LOOP && !r->family)
        store_be32(out, family);
    else
        memcpy(out, &family, sizeof family);
    return 4;
}

static inline size_t recipe_put_link(uint8_t *out, const struct recipe *r)
{
    switch (r->datalink) {
    case DLT_EN10MB:
        memset(out, 0x02, 12);
        recipe_put_type(out + 12, r);
        return 14 + recipe_put_tags(out + 14, r);
    case DLT_LINUX_SLL:
        memset(out, 0, 14);
        recipe_put_type(out + 14, r);
        return 16 + recipe_put_tags(out + 16, r);
    case DLT_LINUX_SLL2:
        memset(out, 0, 20);
        recipe_put_type(out, r);
        return 20 + recipe_put_tags(out + 20, r);
    case DLT_NULL:
    case DLT_LOOP:
        return recipe_put_family(out, r);
    default:
        return 0;
    }
}

static inline uint8_t recipe_protocol(const struct recipe *r)
{
    switch (r->transport) {
    case TRANSPORT_TCP_SYN:
        return IPPROTO_TCP;
    case TRANSPORT_ICMP:
        return r->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    default:
        return IPPROTO_UDP;
    }
}

/* Bytes of the header behind IP's, and of it and the payload. */
static inline size_t recipe_header(const struct recipe *r)
{
    return r->transport == TRANSPORT_TCP_SYN ? 20 + r->tcp_words * 4u : 8;
}

static inline size_t recipe_inner(const struct recipe *r)
{
    return recipe_header(r) + (r->payload ? r->payload : DATAGRAM_MIN);
}

static inline size_t recipe_put_ip(uint8_t *out, const struct recipe *r, size_t inner)
{
    size_t header = r->ipv6 ? 40 : 20 + r->option_words * 4u;
    uint8_t protocol = r->protocol ? r->protocol : recipe_protocol(r);

    memset(out, 0, header);
    if (r->ipv6) {
        out[0] = 0x60;
        store_be16(out + 4, (uint16_t)((int)inner + r->ip_error));
        out[6] = protocol;
        out[7] = 64;
        memcpy(out + 8, recipe_ipv6_source, 16);
        memcpy(out + 24, recipe_ipv6_destination, 16);
        return header;
    }
    out[0] = (uint8_t)(0x40 | (header / 4));
    store_be16(out + 2, (uint16_t)((int)(header + inner) + r->ip_error));
    store_be16(out + 6, r->fragment);
    out[8] = 64;
    out[9] = protocol;
    memcpy(out + 12, recipe_ipv4_source, 4);
    memcpy(out + 16, recipe_ipv4_destination, 4);
    memset(out + 20, 1, r->option_words * 4u); /* no-operation options */
    return header;
}

/* Where the UDP, TCP or ICMP header is in the frame of a recipe; and the payload. */
static inline size_t recipe_header_at(const struct recipe *r)
{
    uint8_t scratch[RECIPE_SIZE_MAX];

    return recipe_put_link(scratch, r) + (r->ipv6 ? 40 : 20 + r->option_words * 4u);
}

static inline size_t recipe_payload_at(const struct recipe *r)
{
    return recipe_header_at(r) + recipe_header(r);
}

/* What is not a port, a length, an offset, flags or a type is 0xff: no header passes
 * for one of another protocol. */
static inline size_t recipe_put_header(uint8_t *out, const struct recipe *r)
{
    uint16_t port = r->port ? r->port : KNOCK_PORT, echo = r->ipv6 ? 0x8000 : 0x0800;

    memset(out, 0xff, recipe_header(r));
    if (r->transport == TRANSPORT_ICMP) {
        store_be16(out, r->icmp ? r->icmp : echo);
        return recipe_header(r);
    }
    store_be16(out, 40000);
    store_be16(out + 2, port);
    if (r->transport == TRANSPORT_UDP) {
        store_be16(out + 4, (uint16_t)((int)recipe_inner(r) + r->udp_error));
        store_be16(out + 6, 0);
    } else {
        out[12] = (uint8_t)((5 + r->tcp_words) << 4);
        out[13] = r->tcp_flags ? r->tcp_flags : 0x02;
        memset(out + 20, 1, r->tcp_words * 4u); /* no-operation options */
    }
    return recipe_header(r);
}

/* Writes the frame, whose payload bytes count up from 0, and returns its size. */
static inline size_t recipe_build(uint8_t out[static RECIPE_SIZE_MAX], const struct recipe *r)
{
    size_t payload = r->payload ? r->payload : DATAGRAM_MIN;
    size_t n = recipe_put_link(out, r);

    n += recipe_put_ip(out + n, r, recipe_inner(r));
    n += recipe_put_header(out + n, r);
    for (size_t i = 0; i < payload; i++)
        out[n++] = (uint8_t)i;
    memset(out + n, 0xee, r->trailing);
    return n + r->trailing;
}

/* A SYN may ask for ECN: ECE and CWR are 0x40 and 0x80. */
#define OTHERS_OF(datalink_, name_, ...)                                                           \
    {.name = name_ ", SYN, IPv4", .datalink = datalink_, .transport = TRANSPORT_TCP_SYN,           \
     __VA_ARGS__},                                                                                 \
        {.name = name_ ", SYN, IPv4 with the most options", .datalink = datalink_,                 \
         .transport = TRANSPORT_TCP_SYN, __VA_ARGS__, .option_words = 10, .tcp_words = 10,         \
         .payload = DATAGRAM_MAX},                                                                 \
        {.name = name_ ", SYN, IPv6, ECN", .datalink = datalink_, .ipv6 = true,                    \
         .transport = TRANSPORT_TCP_SYN, .tcp_flags = 0xc2, .tcp_words = 5, __VA_ARGS__},          \
        {.name = name_ ", SYN, IPv6, the largest knock", .datalink = datalink_, .ipv6 = true,      \
         .transport = TRANSPORT_TCP_SYN, .tcp_words = 10, .payload = DATAGRAM_MAX, __VA_ARGS__},   \
        {.name = name_ ", echo, IPv4", .datalink = datalink_, .transport = TRANSPORT_ICMP,         \
         __VA_ARGS__},                                                                             \
        {.name = name_ ", echo, IPv4 with options", .datalink = datalink_,                         \
         .transport = TRANSPORT_ICMP, __VA_ARGS__, .option_words = 10, .payload = DATAGRAM_MAX},   \
    {                                                                                              \
        .name = name_ ", echo, IPv6", .datalink = datalink_, .ipv6 = true,                         \
        .transport = TRANSPORT_ICMP, __VA_ARGS__                                                   \
    }

#define LINKS_OF(datalink_, name_)                                                                 \
    {.name = name_ ", IPv4", .datalink = datalink_},                                               \
        {.name = name_ ", IPv4 with options", .datalink = datalink_, .option_words = 10},          \
        {.name = name_ ", IPv4, not to be fragmented", .datalink = datalink_, .fragment = 0x4000}, \
        {.name = name_ ", the largest knock", .datalink = datalink_, .payload = DATAGRAM_MAX},     \
        {.name = name_ ", IPv6", .datalink = datalink_, .ipv6 = true},                             \
        {.name = name_ ", IPv6, the largest knock", .datalink = datalink_, .ipv6 = true,           \
         .payload = DATAGRAM_MAX},                                                                 \
        OTHERS_OF(datalink_, name_, .trailing = 0)

#define TAGS_OF(datalink_, name_, ...)                                                             \
    {.name = name_ ", IPv4", .datalink = datalink_, .tags = {__VA_ARGS__}},                        \
        {.name = name_ ", IPv4 with options", .datalink = datalink_, .tags = {__VA_ARGS__},        \
         .option_words = 3},                                                                       \
        {.name = name_ ", IPv6", .datalink = datalink_, .tags = {__VA_ARGS__}, .ipv6 = true},      \
        OTHERS_OF(datalink_, name_, .tags = {__VA_ARGS__})

enum { EVERY_TRANSPORT = (1 << TRANSPORTS) - 1 };

/* Every kind of frame that holds a whole knock. */
static const struct recipe whole_frames[] = {
    LINKS_OF(DLT_EN10MB, "Ethernet"),
    TAGS_OF(DLT_EN10MB, "VLAN 8100", 0x8100),
    TAGS_OF(DLT_EN10MB, "VLAN 88a8", 0x88a8),
    TAGS_OF(DLT_EN10MB, "VLAN 9100", 0x9100),
    TAGS_OF(DLT_EN10MB, "QinQ 88a8 8100", 0x88a8, 0x8100),
    TAGS_OF(DLT_EN10MB, "QinQ 8100 8100", 0x8100, 0x8100),
    TAGS_OF(DLT_EN10MB, "QinQ 9100 8100", 0x9100, 0x8100),
    LINKS_OF(DLT_LINUX_SLL, "SLL"),
    LINKS_OF(DLT_LINUX_SLL2, "SLL2"),
    LINKS_OF(DLT_RAW, "raw"),
    LINKS_OF(DLT_NULL, "null"),
    LINKS_OF(DLT_LOOP, "loop"),
};

#endif
