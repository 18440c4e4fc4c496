/* A frame off the wire: the first byte chooses the link type and the transports that
 * are switched on. What our decoder
 * takes for a knock, libpcap's filter must have passed; what the filter passes,
 * the decoder takes, except for what frame.h names. */
#include "fuzz.h"

#include <pcap/pcap.h>

#include "common/bytes.h"
#include "common/envelope.h"
#include "daemon/sniffer/capture.h"
#include "daemon/sniffer/frame.h"

enum { SNAPLEN = 96 + FRAME_MERGED_MAX * DATAGRAM_MAX, IPV4_HEADER = 20, IPV6_HEADER = 40, UDP_HEADER = 8, TAGS_MAX = 2 };
enum { TRANSPORT_SETS = 1 << TRANSPORTS };
/* Bytes that the filter reads at least: to the protocol, whatever length of the
 * header it finds; to ICMP's type and code. */
enum { IPV4_LOOKED_AT = 10, IPV6_LOOKED_AT = IPV6_HEADER + 2 };

static const int datalinks[] = {DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_RAW, DLT_IPV4,
                                DLT_IPV6,   DLT_NULL,      DLT_LOOP};
static struct sniffer_setup setup = {.ports = {53, 47000}, .port_count = 2};
static struct bpf_program filters[COUNT_OF(datalinks)][TRANSPORT_SETS];

static void compile(struct bpf_program *filter, int datalink)
{
    pcap_t *nothing = pcap_open_dead(datalink, SNAPLEN);
    char text[CAPTURE_FILTER_SIZE];

    capture_filter(text, frame_link_of(datalink), &setup);
    REQUIRE(pcap_compile(nothing, filter, text, 1, PCAP_NETMASK_UNKNOWN) == 0);
    pcap_close(nothing);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    for (setup.transports = 1; setup.transports < TRANSPORT_SETS; setup.transports++)
        for (size_t i = 0; i < COUNT_OF(datalinks); i++)
            compile(&filters[i][setup.transports], datalinks[i]);
    return 0;
}

static bool is_tag(uint16_t type)
{
    return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/* On "any" interface the kernel's filter sees a frame without its VLAN tag, which
 * libpcap then puts back. Takes away what the decoder may skip. */
static size_t untag_cooked(uint8_t *bytes, size_t size, int datalink)
{
    size_t type_at = datalink == DLT_LINUX_SLL ? 14 : 0;
    size_t header = datalink == DLT_LINUX_SLL ? 16 : 20;

    if (datalink != DLT_LINUX_SLL && datalink != DLT_LINUX_SLL2)
        return size;
    for (int i = 0; i < TAGS_MAX && size >= header + 4 && is_tag(load_be16(bytes + type_at)); i++) {
        memcpy(bytes + type_at, bytes + header + 2, 2);
        memmove(bytes + header, bytes + header + 4, size - header - 4);
        size -= 4;
    }
    return size;
}

static bool filter_passes(size_t link, const uint8_t *bytes, size_t size)
{
    struct pcap_pkthdr header = {.caplen = (bpf_u_int32)size, .len = (bpf_u_int32)size};

    return pcap_offline_filter(&filters[link][setup.transports], &header, bytes) != 0;
}

/* Bytes before the IP header of a frame that the filter passed. */
static size_t link_size(int datalink, const uint8_t *bytes)
{
    size_t n = 12;

    switch (datalink) {
    case DLT_EN10MB:
        while (is_tag(load_be16(bytes + n)))
            n += 4;
        return n + 2;
    case DLT_LINUX_SLL:
        return 16;
    case DLT_LINUX_SLL2:
        return 20;
    case DLT_NULL:
    case DLT_LOOP:
        return 4;
    default:
        return 0;
    }
}

/* The reasons to refuse what the filter passed, for it looks at protocol, port, kind
 * and length alone: a UDP length that does not fit the packet, a TCP header that
 * is too short for one. */
static bool is_refused_inside(const uint8_t *inside, size_t size, uint8_t protocol)
{
    if (protocol == IPPROTO_UDP)
        return size < UDP_HEADER || load_be16(inside + 4) > size;
    return protocol == IPPROTO_TCP && inside[12] >> 4 < 5;
}

/* A first fragment, lengths that do not fit the capture. */
static bool is_refused_ipv4(const uint8_t *ip, size_t size)
{
    size_t header = (ip[0] & 15u) * 4, total = load_be16(ip + 2);

    return ip[0] >> 4 != 4 || header < IPV4_HEADER || (load_be16(ip + 6) & 0x3fff) != 0 ||
           total > size || total < header ||
           is_refused_inside(ip + header, total - header, ip[9]);
}

/* The same, and a mapped source. Extension headers pass neither. */
static bool is_refused_ipv6(const uint8_t *ip, size_t size)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    size_t payload = load_be16(ip + 4);

    return ip[0] >> 4 != 6 || memcmp(ip + 8, mapped, sizeof mapped) == 0 ||
           payload > size - IPV6_HEADER ||
           is_refused_inside(ip + IPV6_HEADER, payload, ip[6]);
}

/* The EtherType that the filter went by, or what stands for it. */
static bool is_ipv6(int datalink, const uint8_t *bytes, const uint8_t *ip)
{
    switch (datalink) {
    case DLT_EN10MB:
        return load_be16(ip - 2) == 0x86dd;
    case DLT_LINUX_SLL:
        return load_be16(bytes + 14) == 0x86dd;
    case DLT_LINUX_SLL2:
        return load_be16(bytes) == 0x86dd;
    case DLT_NULL:
        return bytes[0] == AF_INET6; /* a little-endian host */
    case DLT_LOOP:
        return bytes[3] == AF_INET6;
    case DLT_RAW:
        return ip[0] >> 4 == 6;
    default:
        return datalink == DLT_IPV6;
    }
}

/* The filter has found ports and length behind the header that it took it for. */
static bool is_refused(int datalink, const uint8_t *bytes, size_t size)
{
    size_t link = link_size(datalink, bytes);
    const uint8_t *ip = bytes + link;
    bool ipv6 = is_ipv6(datalink, bytes, ip);

    REQUIRE(size >= link + (ipv6 ? IPV6_LOOKED_AT : IPV4_LOOKED_AT));
    return ipv6 ? is_refused_ipv6(ip, size - link) : is_refused_ipv4(ip, size - link);
}

static bool is_for_the_clientele(const struct frame *frame)
{
    bool has_port = frame->port == setup.ports[0] || frame->port == setup.ports[1];

    size_t merged = frame->transport == TRANSPORT_UDP ? FRAME_MERGED_MAX : 1;

    return (has_port || frame->transport == TRANSPORT_ICMP) && frame->size >= DATAGRAM_MIN &&
           frame->size <= merged * DATAGRAM_MAX;
}

/* DLT_IPV4 and DLT_IPV6 hold one family each, which the decoder is not told. */
static bool is_of_other_family(int datalink, const struct frame *frame)
{
    bool ipv4 = address_is_ipv4(&frame->source);

    return (datalink == DLT_IPV4 && !ipv4) || (datalink == DLT_IPV6 && ipv4);
}

/* In memory of the exact size, so that a sanitizer sees what is read beyond. */
static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    REQUIRE(copy);
    memcpy(copy, bytes, size);
    return copy;
}

static bool decoder_takes(int datalink, const uint8_t *bytes, size_t captured)
{
    uint8_t *copy = copy_of(bytes, captured);
    struct frame frame;
    bool taken = frame_decode(&frame, frame_link_of(datalink), setup.transports, copy, captured);

    REQUIRE(!taken || (frame.payload >= copy && frame.payload + frame.size <= copy + captured));
    free(copy);
    return taken && is_for_the_clientele(&frame) && !is_of_other_family(datalink, &frame);
}

/* The filter sees the whole frame, the decoder what was captured of it. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    uint8_t choice = input_byte(&in);
    size_t link = choice % COUNT_OF(datalinks);
    size_t captured = in.size < SNAPLEN ? in.size : SNAPLEN, cut = in.size - captured;
    uint8_t *whole = copy_of(in.bytes, in.size);
    bool taken, passes;

    setup.transports = choice / COUNT_OF(datalinks) % TRANSPORT_SETS;
    if (setup.transports == 0)
        setup.transports = 1u << TRANSPORT_UDP;
    taken = decoder_takes(datalinks[link], whole, captured);
    size = untag_cooked(whole, in.size, datalinks[link]);
    passes = filter_passes(link, whole, size);
    REQUIRE(passes || !taken);
    if (passes)
        REQUIRE(taken == !is_refused(datalinks[link], whole, size - cut));
    free(whole);
    return 0;
}
