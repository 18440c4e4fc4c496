#include "capture.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    SNAPLEN = 512, /* 20 of SLL2, 8 of VLAN tags, 60 of IPv4, 8 of UDP, 304 of knock */
    BUFFER_SIZE = 1 << 20,
    UDP_HEADER = 8,
};

/* Adds to the zero-terminated text, whose size is CAPTURE_FILTER_SIZE. */
__attribute__((format(printf, 2, 3))) static void append(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, CAPTURE_FILTER_SIZE - used, format, arguments);
    va_end(arguments);
}

/* libpcap's udp[] reads IPv4 alone, so IPv6 is spelled out: its header has a
 * fixed size and extension headers are not followed. */
static void append_candidates(char *text, const uint16_t *ports, size_t count)
{
    const int least = UDP_HEADER + DATAGRAM_MIN, most = UDP_HEADER + DATAGRAM_MAX;

    append(text, "((udp[4:2] >= %d and udp[4:2] <= %d and (", least, most);
    for (size_t i = 0; i < count; i++)
        append(text, "%sudp[2:2] = %u", i ? " or " : "", ports[i]);
    append(text, ")) or (ip6[6] = 17 and ip6[44:2] >= %d and ip6[44:2] <= %d and (", least, most);
    for (size_t i = 0; i < count; i++)
        append(text, "%sip6[42:2] = %u", i ? " or " : "", ports[i]);
    append(text, ")))");
}

void capture_filter(char text[static CAPTURE_FILTER_SIZE], enum frame_link link,
                    const uint16_t *ports, size_t count)
{
    text[0] = '\0';
    append_candidates(text, ports, count);
    if (link != LINK_ETHERNET)
        return;
    /* Each "vlan" moves all that follows it one tag deeper, and "and" binds no
     * closer than "or" (pcap-filter(7)): without its own parentheses the second
     * tag would do without the first. */
    for (int tags = 0; tags < 2; tags++) {
        append(text, " or (vlan and (");
        append_candidates(text, ports, count);
    }
    append(text, "))))");
}

static bool configure(pcap_t *pcap, struct error *why)
{
    int status;

    pcap_set_snaplen(pcap, SNAPLEN);
    pcap_set_promisc(pcap, 0);
    pcap_set_immediate_mode(pcap, 1);
    pcap_set_buffer_size(pcap, BUFFER_SIZE);
    status = pcap_activate(pcap);
    if (status >= 0)
        return true;
    return error_set(why, "%s: %s", pcap_statustostr(status), pcap_geterr(pcap));
}

static bool set_filter(struct capture *capture, const struct config *config, struct error *why)
{
    char text[CAPTURE_FILTER_SIZE];
    struct bpf_program program;
    bool set;

    capture_filter(text, capture->link, config->ports, config->port_count);
    if (pcap_compile(capture->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return error_set(why, "cannot compile the filter: %s", pcap_geterr(capture->pcap));
    set = pcap_setfilter(capture->pcap, &program) == 0;
    pcap_freecode(&program);
    return set || error_set(why, "cannot set the filter: %s", pcap_geterr(capture->pcap));
}

/* libpcap falls back to filtering by itself when the kernel refuses a filter:
 * then every frame of the host would come to us. */
static bool is_filtered_by_kernel(int fd)
{
    struct sock_filter program[BPF_MAXINSNS];
    socklen_t count = BPF_MAXINSNS; /* instructions, in and out */

    return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, program, &count) == 0 && count > 1;
}

/* Locks the filter, and proves it: what reads hostile bytes must not be able to
 * ask the kernel for more of them. */
static bool lock_filter(int fd, struct error *why)
{
    struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SNAPLEN);
    struct sock_fprog program = {.len = 1, .filter = &all};
    int on = 1;

    if (!is_filtered_by_kernel(fd))
        return error_set(why, "the kernel did not take the filter");
    if (setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) != 0)
        return error_set(why, "cannot lock the filter: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ||
        errno != EPERM)
        return error_set(why, "the filter is not locked");
    return true;
}

static bool set_up(struct capture *capture, const struct config *config, struct error *why)
{
    char reason[PCAP_ERRBUF_SIZE];

    if (!configure(capture->pcap, why))
        return false;
    capture->link = frame_link_of(pcap_datalink(capture->pcap));
    if (capture->link == LINK_UNKNOWN)
        return error_set(why, "its link type %s is not supported",
                         pcap_datalink_val_to_name(pcap_datalink(capture->pcap)));
    if (pcap_setdirection(capture->pcap, PCAP_D_IN) != 0)
        return error_set(why, "cannot capture incoming frames alone: %s",
                         pcap_geterr(capture->pcap));
    if (pcap_setnonblock(capture->pcap, 1, reason) != 0)
        return error_set(why, "%s", reason);
    capture->fd = pcap_get_selectable_fd(capture->pcap);
    return set_filter(capture, config, why) && lock_filter(capture->fd, why);
}

bool capture_open(struct capture *capture, const char *interface, const struct config *config,
                  struct error *why)
{
    char reason[PCAP_ERRBUF_SIZE];
    struct error detail;

    capture->pcap = pcap_create(interface, reason);
    if (!capture->pcap)
        return error_set(why, "interface %s: %s", interface, reason);
    if (set_up(capture, config, &detail))
        return true;
    pcap_close(capture->pcap);
    capture->pcap = NULL;
    return error_set(why, "interface %s: %.400s", interface, detail.text);
}

/* What libpcap's callback needs of both sides. */
struct delivery {
    capture_handler *handler;
    void *user;
    enum frame_link link;
};

static void deliver(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes)
{
    struct delivery delivery;

    memcpy(&delivery, user, sizeof delivery);
    delivery.handler(delivery.user, delivery.link, bytes, header->caplen);
}

bool capture_read(struct capture *capture, capture_handler *handler, void *user, struct error *why)
{
    struct delivery delivery = {.handler = handler, .user = user, .link = capture->link};

    if (pcap_dispatch(capture->pcap, CAPTURE_FRAMES_AT_ONCE, deliver, (u_char *)&delivery) >= 0)
        return true;
    return error_set(why, "the capture ended: %s", pcap_geterr(capture->pcap));
}
