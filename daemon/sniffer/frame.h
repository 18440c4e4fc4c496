/* Finds in a captured frame what may be a knock. Keeps no state and allocates nothing. */
#ifndef PORTSMITH_FRAME_H
#define PORTSMITH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/text/transport.h"

/* What the first bytes of a frame are. libpcap's DLT_ and LINKTYPE_ names
 * (pcap-linktype(7)) lead here by frame_link_of. */
enum frame_link {
    LINK_UNKNOWN = 0,
    LINK_ETHERNET,  /* DLT_EN10MB, loopback included */
    LINK_SLL,       /* DLT_LINUX_SLL: "any" */
    LINK_SLL2,      /* DLT_LINUX_SLL2 */
    LINK_RAW,       /* DLT_RAW, DLT_IPV4, DLT_IPV6: tun, wg */
    LINK_NULL,      /* DLT_NULL: address family, host order */
    LINK_LOOP,      /* DLT_LOOP: address family, network order */
};

/* The kernel may have merged UDP datagrams of one flow and one size into one frame (GRO;
 * UDP_SEGMENT, udp(7)), as where the network duplicates a knock. Frames of up to so many knocks
 * are taken. The UDP length is that of all of them then, and no capture tells the size of one. */
enum { FRAME_MERGED_MAX = 4 };

struct frame {
    struct address source, destination; /* of the IP header */
    enum transport transport;
    uint16_t port;          /* destination port, host order; 0 of ICMP, which has none */
    const uint8_t *payload; /* of the packet; points into the frame */
    size_t size;            /* bytes of payload */
};

/*@ assigns \nothing; */
enum frame_link frame_link_of(int datalink);

/*@ predicate is_part(uint8_t *part, integer size, uint8_t *whole, integer whole_size) =
        \base_addr(part) == \base_addr(whole) &&
        whole <= part && part + size <= whole + whole_size; */

/* Decodes `captured` bytes at `bytes`. True if they are one whole packet of one of the
 * `transports` (a set: bit 1 << enum transport). That is a UDP datagram; a TCP SYN without other
 * flags but those that ask for ECN (RFC 3168, 6.1.1); or an echo request, which is ICMP in IPv4
 * and ICMPv6 in IPv6. False for anything else, and for fragments, IPv6 extension headers,
 * IPv4-mapped IPv6 sources, and lengths that do not fit what was captured. Two VLAN tags at most,
 * and IPv4 and TCP options, are skipped. Bytes behind the IP packet (padding, a trailing FCS) are
 * ignored. */
/*@ requires \object_pointer(bytes) && \valid_read(bytes + (0 .. captured - 1));
    requires \valid(frame);
    requires \separated(frame, bytes + (0 .. captured - 1));
    assigns *frame;
    ensures \result ==> is_part(frame->payload, frame->size, bytes, captured); */
bool frame_decode(struct frame *frame, enum frame_link link, unsigned transports,
                  const uint8_t *bytes, size_t captured);

#endif
