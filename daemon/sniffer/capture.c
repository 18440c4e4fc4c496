#include "daemon/sniffer/capture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"

enum {
    /* Bytes of a frame that are captured: 28 of SLL2 with VLAN tags, 60 of IPv4 and 60 of TCP with
     * all their options, and one knock. Seven such frames fit into a page of the kernel's
     * buffer. */
    SNAPLEN = 148 + DATAGRAM_MAX,
    /* Bytes that the kernel keeps of frames until they are read. Nearly a thousand knocks that come
     * at once have room. */
    BUFFER_SIZE = 512 * 1024,
    FRAME_MAX = SNAPLEN + (FRAME_MERGED_MAX - 1) * DATAGRAM_MAX, /* bytes of a whole frame */
};

/* Appends to the zero-terminated text, which has room for CAPTURE_FILTER_SIZE bytes. */
__attribute__((format(printf, 2, 3))) static void append(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, CAPTURE_FILTER_SIZE - used, format, arguments);
    va_end(arguments);
}

/* What the packets of a transport are, how long their payload is, and where their destination
 * port lies; NULL: they have none. libpcap's udp[], tcp[] and icmp[] read IPv4 alone, and skip
 * its options. So IPv6 is spelled out: its header has a fixed size, and extension headers are
 * not followed. A length below zero is taken as a very large one. */
static const struct shape {
    enum transport transport;
    const char *packets, *length, *port;
} shapes[] = {
    {TRANSPORT_UDP, "udp", "udp[4:2] - 8", "udp[2:2]"},
    {TRANSPORT_UDP, "ip6[6] = 17", "ip6[44:2] - 8", "ip6[42:2]"},
    {TRANSPORT_TCP_SYN, "tcp[13] & 0x3f = 2",
     "ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2)", "tcp[2:2]"},
    {TRANSPORT_TCP_SYN, "ip6[6] = 6 and ip6[53] & 0x3f = 2",
     "ip6[4:2] - ((ip6[52] & 0xf0) >> 2)", "ip6[42:2]"},
    {TRANSPORT_ICMP, "icmp[0:2] = 0x0800", "ip[2:2] - ((ip[0] & 0xf) << 2) - 8", NULL},
    {TRANSPORT_ICMP, "ip6[6] = 58 and ip6[40:2] = 0x8000", "ip6[4:2] - 8", NULL},
};

/* Appends what a knock of this shape looks like. The kernel may have merged UDP knocks. */
static void append_shape(char *text, const struct shape *shape, const struct sniffer_setup *setup)
{
    int merged = shape->transport == TRANSPORT_UDP ? FRAME_MERGED_MAX : 1;

    append(text, "(%s and %s >= %d and %s <= %d", shape->packets, shape->length, DATAGRAM_MIN,
           shape->length, merged * DATAGRAM_MAX);
    for (size_t i = 0; shape->port && i < setup->port_count; i++)
        append(text, "%s%s = %u", i == 0 ? " and (" : " or ", shape->port, setup->ports[i]);
    append(text, shape->port ? "))" : ")");
}

/* Appends what knocks of any of the setup's transports look like, in parentheses. */
static void append_candidates(char *text, const struct sniffer_setup *setup)
{
    const char *between = "(";

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (!(setup->transports & 1u << shapes[i].transport))
            continue;
        append(text, "%s", between);
        append_shape(text, &shapes[i], setup);
        between = " or ";
    }
    append(text, ")");
}

void capture_filter(char text[static CAPTURE_FILTER_SIZE], enum frame_link link,
                    const struct sniffer_setup *setup)
{
    text[0] = '\0';
    append_candidates(text, setup);
    if (link != LINK_ETHERNET)
        return;
    /* Each "vlan" moves all that follows it one tag deeper, and "and" binds no
     * closer than "or" (pcap-filter(7)): without its own parentheses the second
     * tag would do without the first. */
    for (int tags = 0; tags < 2; tags++) {
        append(text, " or (vlan and (");
        append_candidates(text, setup);
    }
    append(text, "))))");
}

static bool set_filter(struct capture *capture, const struct sniffer_setup *setup,
                       struct error *why)
{
    char text[CAPTURE_FILTER_SIZE];
    struct bpf_program program;
    bool set;

    capture_filter(text, capture->link, setup);
    if (pcap_compile(capture->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return error_set(why, "cannot compile the filter: %s", pcap_geterr(capture->pcap));
    set = pcap_setfilter(capture->pcap, &program) == 0;
    pcap_freecode(&program);
    return set || error_set(why, "cannot set the filter: %s", pcap_geterr(capture->pcap));
}

/* Locks the filter, and proves that it is locked: a process that reads hostile bytes must not be
 * able to ask the kernel for more of them. Before, the kernel is asked whether it has the filter:
 * where it refuses one, libpcap filters by itself, and every frame of the host would come here. */
static bool lock_filter(int fd, struct error *why)
{
    struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SNAPLEN);
    struct sock_fprog program = {.len = 1, .filter = &all};
    socklen_t count = 0; /* 0: the kernel tells how many instructions it has */
    int on = 1;

    if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &count) != 0 || count <= 1)
        return error_set(why, "the kernel did not take the filter");
    if (setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) != 0)
        return error_set(why, "cannot lock the filter: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ||
        errno != EPERM)
        return error_set(why, "the filter is not locked");
    return true;
}

/* Has the activated capture take incoming knocks alone, and not wait for them. */
static bool narrow_down(struct capture *capture, const struct sniffer_setup *setup,
                        struct error *why)
{
    char reason[PCAP_ERRBUF_SIZE];

    if (pcap_setdirection(capture->pcap, PCAP_D_IN) != 0)
        return error_set(why, "cannot capture only incoming frames: %s",
                         pcap_geterr(capture->pcap));
    if (pcap_setnonblock(capture->pcap, 1, reason) != 0)
        return error_set(why, "%s", reason);
    capture->fd = pcap_get_selectable_fd(capture->pcap);
    return set_filter(capture, setup, why) && lock_filter(capture->fd, why);
}

static enum capture_result set_up(struct capture *capture, const struct sniffer_setup *setup,
                                  struct error *why)
{
    pcap_t *pcap = capture->pcap;
    int status;

    pcap_set_snaplen(pcap, SNAPLEN);
    pcap_set_promisc(pcap, 0);
    pcap_set_immediate_mode(pcap, 1);
    pcap_set_buffer_size(pcap, BUFFER_SIZE);
    status = pcap_activate(pcap);
    if (status < 0) {
        error_set(why, "%s: %s", pcap_statustostr(status), pcap_geterr(pcap));
        return CAPTURE_FAILED;
    }
    capture->link = frame_link_of(pcap_datalink(pcap));
    if (capture->link == LINK_UNKNOWN) {
        error_set(why, "its link type %s is not supported",
                  pcap_datalink_val_to_name(pcap_datalink(pcap)));
        return CAPTURE_UNSUPPORTED;
    }
    return narrow_down(capture, setup, why) ? CAPTURE_OPENED : CAPTURE_FAILED;
}

enum capture_result capture_open(struct capture *capture, const char *interface,
                                 const struct sniffer_setup *setup, struct error *why)
{
    char reason[PCAP_ERRBUF_SIZE];
    enum capture_result result;
    struct error detail;

    capture->pcap = pcap_create(interface, reason);
    if (!capture->pcap) {
        error_set(why, "interface %s: %s", interface, reason);
        return CAPTURE_FAILED;
    }
    result = set_up(capture, setup, &detail);
    if (result == CAPTURE_OPENED)
        return result;
    pcap_close(capture->pcap);
    capture->pcap = NULL;
    error_set(why, "interface %s: %.400s", interface, detail.text);
    return result;
}

/* What libpcap's callback has to know: the capture, and who reads it. */
struct delivery {
    capture_handler *handler;
    void *user;
    enum frame_link link;
};

/* Of merged knocks nobody reads any but the first, and all of that was captured. Zeros stand for
 * the bytes that were not. */
static void deliver_cut(const struct delivery *to, const struct pcap_pkthdr *header,
                        const u_char *bytes, int64_t captured)
{
    uint8_t whole[FRAME_MAX] = {0};

    memcpy(whole, bytes, header->caplen);
    to->handler(to->user, to->link, whole, header->len, captured);
}

static void deliver(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes)
{
    int64_t captured = header->ts.tv_sec * (int64_t)NSEC_PER_SEC +
                       header->ts.tv_usec * (int64_t)(NSEC_PER_SEC / USEC_PER_SEC);
    struct delivery delivery;

    memcpy(&delivery, user, sizeof delivery);
    if (header->caplen < header->len && header->len <= FRAME_MAX)
        deliver_cut(&delivery, header, bytes, captured);
    else
        delivery.handler(delivery.user, delivery.link, bytes, header->caplen, captured);
}

bool capture_read(struct capture *capture, capture_handler *handler, void *user,
                  uint64_t *dropped, struct error *why)
{
    struct delivery delivery = {.handler = handler, .user = user, .link = capture->link};
    struct tpacket_stats_v3 statistics = {0};
    socklen_t size = sizeof statistics;
    int frames = pcap_dispatch(capture->pcap, CAPTURE_FRAMES_AT_ONCE, deliver, (u_char *)&delivery);

    if (frames < 0)
        return error_set(why, "the capture ended: %s", pcap_geterr(capture->pcap));
    /* A full buffer holds far more frames than were read here: with fewer none was dropped. Some
     * releases of pcap_stats(3) read files, which a sniffer has not got, so the kernel is asked
     * itself (packet(7)). It counts anew from each answer on. */
    if (frames == CAPTURE_FRAMES_AT_ONCE &&
        getsockopt(capture->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
        *dropped += statistics.tp_drops;
    return true;
}
