#include "daemon/sniffer/frame.h"

#include <netinet/in.h>
#include <pcap/dlt.h>
#include <string.h>
#include <sys/socket.h>

#include "common/bytes.h"

enum {
    ETHERNET_HEADER = 14,
    SLL_HEADER = 16,
    SLL2_HEADER = 20,
    NULL_HEADER = 4,
    VLAN_TAG = 4,
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    UDP_HEADER = 8,
    TCP_HEADER = 20,
    ECHO_HEADER = 8,

    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    TYPE_VLAN = 0x8100,
    TYPE_QINQ = 0x88a8,
    TYPE_QINQ_OLD = 0x9100,

    IPV4_FRAGMENT = 0x3fff, /* more fragments, or an offset */

    TCP_FLAGS = 0x3f, /* all but ECE and CWR, with which a SYN may ask for ECN */
    TCP_SYN = 0x02,
    ECHO_IPV4 = 0x0800, /* type 8, code 0 (RFC 792) */
    ECHO_IPV6 = 0x8000, /* type 128, code 0 (RFC 4443, 4.1) */
};

/* What is still to be decoded. */
struct rest {
    const uint8_t *bytes;
    size_t size;
};

/*@ predicate readable(struct rest *rest) =
        \object_pointer(rest->bytes) && \valid_read(rest->bytes + (0 .. rest->size - 1));
    predicate part_of(struct rest *rest, uint8_t *bytes, integer size) =
        is_part(rest->bytes, rest->size, bytes, size); */

enum frame_link frame_link_of(int datalink)
{
    switch (datalink) {
    case DLT_EN10MB:
        return LINK_ETHERNET;
    case DLT_LINUX_SLL:
        return LINK_SLL;
    case DLT_LINUX_SLL2:
        return LINK_SLL2;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        return LINK_RAW;
    case DLT_NULL:
        return LINK_NULL;
    case DLT_LOOP:
        return LINK_LOOP;
    default:
        return LINK_UNKNOWN;
    }
}

/*@ requires \valid(rest) && readable(rest);
    assigns *rest;
    ensures readable(rest) && part_of(rest, \old(rest->bytes), \old(rest->size)); */
static bool skip(struct rest *rest, size_t size)
{
    if (rest->size < size)
        return false;
    rest->bytes += size;
    rest->size -= size;
    return true;
}

/* Skips a link header of `size` bytes whose EtherType is at `type_at`, and up
 * to two VLAN tags behind it. */
/*@ requires \valid(rest) && readable(rest) && \valid(type) && type_at + 2 <= size;
    requires \separated(rest, type, rest->bytes + (0 .. rest->size - 1));
    assigns *rest, *type;
    ensures readable(rest) && part_of(rest, \old(rest->bytes), \old(rest->size)); */
static bool skip_typed(struct rest *rest, size_t size, size_t type_at, uint16_t *type)
{
    if (rest->size < size)
        return false;
    *type = load_be16(rest->bytes + type_at);
    skip(rest, size);
    /*@ loop invariant readable(rest) &&
                       part_of(rest, \at(rest->bytes, Pre), \at(rest->size, Pre));
        loop assigns tags, *rest, *type;
        loop variant 2 - tags; */
    for (int tags = 0; tags < 2; tags++) {
        if (*type != TYPE_VLAN && *type != TYPE_QINQ && *type != TYPE_QINQ_OLD)
            break;
        if (rest->size < VLAN_TAG)
            return false;
        *type = load_be16(rest->bytes + 2);
        skip(rest, VLAN_TAG);
    }
    return true;
}

/* Raw IP says by its first four bits what it is. */
/*@ requires \valid_read(rest) && readable(rest) && \valid(type);
    requires \separated(rest, type, rest->bytes + (0 .. rest->size - 1));
    assigns *type; */
static bool type_of_raw(const struct rest *rest, uint16_t *type)
{
    if (rest->size == 0)
        return false;
    *type = rest->bytes[0] >> 4 == 4 ? TYPE_IPV4 : rest->bytes[0] >> 4 == 6 ? TYPE_IPV6 : 0;
    return true;
}

/* BSD's loopback header: an address family, by this host's numbers, as in the
 * filter that libpcap makes. Captures of other systems are never read. */
/*@ requires \valid(rest) && readable(rest) && \valid(type);
    requires \separated(rest, type, rest->bytes + (0 .. rest->size - 1));
    assigns *rest, *type;
    ensures readable(rest) && part_of(rest, \old(rest->bytes), \old(rest->size)); */
static bool skip_family(struct rest *rest, bool network_order, uint16_t *type)
{
    uint32_t family;

    if (rest->size < NULL_HEADER)
        return false;
    family = load_be32(rest->bytes);
    if (!network_order)
        family = htonl(family);
    skip(rest, NULL_HEADER);
    if (family == AF_INET)
        *type = TYPE_IPV4;
    else if (family == AF_INET6)
        *type = TYPE_IPV6;
    else
        *type = 0;
    return true;
}

/*@ requires \valid(rest) && readable(rest) && \valid(type);
    requires \separated(rest, type, rest->bytes + (0 .. rest->size - 1));
    assigns *rest, *type;
    ensures readable(rest) && part_of(rest, \old(rest->bytes), \old(rest->size)); */
static bool skip_link(struct rest *rest, enum frame_link link, uint16_t *type)
{
    switch (link) {
    case LINK_ETHERNET:
        return skip_typed(rest, ETHERNET_HEADER, 12, type);
    case LINK_SLL:
        return skip_typed(rest, SLL_HEADER, 14, type);
    case LINK_SLL2:
        return skip_typed(rest, SLL2_HEADER, 0, type);
    case LINK_RAW:
        return type_of_raw(rest, type);
    case LINK_NULL:
        return skip_family(rest, false, type);
    case LINK_LOOP:
        return skip_family(rest, true, type);
    case LINK_UNKNOWN:
        break;
    }
    return false;
}

/*@ requires \valid(rest) && readable(rest) && \valid(frame) && \valid(protocol);
    requires \separated(rest, frame, protocol, rest->bytes + (0 .. rest->size - 1));
    assigns *rest, frame->source, frame->destination, *protocol;
    ensures readable(rest) && part_of(rest, \old(rest->bytes), \old(rest->size)); */
static bool enter_ipv4(struct frame *frame, struct rest *rest, uint8_t *protocol)
{
    const uint8_t *ip = rest->bytes;
    size_t header, total;

    if (rest->size < IPV4_HEADER || ip[0] >> 4 != 4)
        return false;
    header = (size_t)(ip[0] & 0x0f) * 4;
    total = load_be16(ip + 2);
    if (header < IPV4_HEADER || total < header || total > rest->size)
        return false;
    if ((load_be16(ip + 6) & IPV4_FRAGMENT) != 0)
        return false;
    *protocol = ip[9];
    frame->source = address_from_ipv4(ip + 12);
    frame->destination = address_from_ipv4(ip + 16);
    rest->size = total;
    return skip(rest, header);
}

/*@ requires \valid(rest) && readable(rest) && \valid(frame) && \valid(protocol);
    requires \separated(rest, frame, protocol, rest->bytes + (0 .. rest->size - 1));
    assigns *rest, frame->source, frame->destination, *protocol;
    ensures readable(rest) && part_of(rest, \old(rest->bytes), \old(rest->size)); */
static bool enter_ipv6(struct frame *frame, struct rest *rest, uint8_t *protocol)
{
    const uint8_t *ip = rest->bytes;
    size_t payload;

    if (rest->size < IPV6_HEADER || ip[0] >> 4 != 6)
        return false;
    *protocol = ip[6];
    payload = load_be16(ip + 4);
    if (payload > rest->size - IPV6_HEADER)
        return false;
    memcpy(frame->source.bytes, ip + 8, sizeof frame->source.bytes);
    memcpy(frame->destination.bytes, ip + 24, sizeof frame->destination.bytes);
    /* A mapped address has no business on the wire (RFC 4291, 2.5.5.2), and
     * would pass for the IPv4 one. */
    if (address_is_ipv4(&frame->source))
        return false;
    rest->size = IPV6_HEADER + payload;
    return skip(rest, IPV6_HEADER);
}

/*@ requires \valid_read(rest) && readable(rest) && \valid(frame);
    requires \separated(rest, frame, rest->bytes + (0 .. rest->size - 1));
    assigns frame->transport, frame->port, frame->size;
    assigns frame->payload \from rest->bytes;
    ensures \result ==> is_part(frame->payload, frame->size, rest->bytes, rest->size);
    ensures \result ==> frame->transport < TRANSPORTS; */
static bool enter_udp(struct frame *frame, const struct rest *rest)
{
    size_t size;

    if (rest->size < UDP_HEADER)
        return false;
    size = load_be16(rest->bytes + 4);
    if (size < UDP_HEADER || size > rest->size)
        return false;
    frame->transport = TRANSPORT_UDP;
    frame->port = load_be16(rest->bytes + 2);
    frame->payload = rest->bytes + UDP_HEADER;
    frame->size = size - UDP_HEADER;
    return true;
}

/*@ requires \valid_read(rest) && readable(rest) && \valid(frame);
    requires \separated(rest, frame, rest->bytes + (0 .. rest->size - 1));
    assigns frame->transport, frame->port, frame->size;
    assigns frame->payload \from rest->bytes;
    ensures \result ==> is_part(frame->payload, frame->size, rest->bytes, rest->size);
    ensures \result ==> frame->transport < TRANSPORTS; */
static bool enter_tcp(struct frame *frame, const struct rest *rest)
{
    size_t header;

    if (rest->size < TCP_HEADER || (rest->bytes[13] & TCP_FLAGS) != TCP_SYN)
        return false;
    header = (size_t)(rest->bytes[12] >> 4) * 4;
    if (header < TCP_HEADER || header > rest->size)
        return false;
    frame->transport = TRANSPORT_TCP_SYN;
    frame->port = load_be16(rest->bytes + 2);
    frame->payload = rest->bytes + header;
    frame->size = rest->size - header;
    return true;
}

/*@ requires \valid_read(rest) && readable(rest) && \valid(frame);
    requires \separated(rest, frame, rest->bytes + (0 .. rest->size - 1));
    assigns frame->transport, frame->port, frame->size;
    assigns frame->payload \from rest->bytes;
    ensures \result ==> is_part(frame->payload, frame->size, rest->bytes, rest->size);
    ensures \result ==> frame->transport < TRANSPORTS; */
static bool enter_echo(struct frame *frame, const struct rest *rest, uint16_t type_and_code)
{
    if (rest->size < ECHO_HEADER || load_be16(rest->bytes) != type_and_code)
        return false;
    frame->transport = TRANSPORT_ICMP;
    frame->port = 0;
    frame->payload = rest->bytes + ECHO_HEADER;
    frame->size = rest->size - ECHO_HEADER;
    return true;
}

/*@ requires \valid_read(rest) && readable(rest) && \valid(frame);
    requires \separated(rest, frame, rest->bytes + (0 .. rest->size - 1));
    assigns frame->transport, frame->port, frame->size;
    assigns frame->payload \from rest->bytes;
    ensures \result ==> is_part(frame->payload, frame->size, rest->bytes, rest->size);
    ensures \result ==> frame->transport < TRANSPORTS; */
static bool enter_packet(struct frame *frame, const struct rest *rest, uint8_t protocol,
                         bool ipv6)
{
    switch (protocol) {
    case IPPROTO_UDP:
        return enter_udp(frame, rest);
    case IPPROTO_TCP:
        return enter_tcp(frame, rest);
    case IPPROTO_ICMP:
        return !ipv6 && enter_echo(frame, rest, ECHO_IPV4);
    case IPPROTO_ICMPV6:
        return ipv6 && enter_echo(frame, rest, ECHO_IPV6);
    default:
        return false;
    }
}

bool frame_decode(struct frame *frame, enum frame_link link, unsigned transports,
                  const uint8_t *bytes, size_t captured)
{
    struct rest rest = {.bytes = bytes, .size = captured};
    uint8_t protocol;
    uint16_t type;
    bool ipv6;

    if (!skip_link(&rest, link, &type) || (type != TYPE_IPV4 && type != TYPE_IPV6))
        return false;
    ipv6 = type == TYPE_IPV6;
    if (!(ipv6 ? enter_ipv6(frame, &rest, &protocol) : enter_ipv4(frame, &rest, &protocol)))
        return false;
    return enter_packet(frame, &rest, protocol, ipv6) && (transports & 1u << frame->transport);
}
