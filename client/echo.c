#include "client/echo.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "client/checksum.h"
#include "client/source.h"
#include "common/bytes.h"
#include "common/envelope.h"

enum { HEADER = 8, AT_CHECKSUM = 2, AT_ID = 4, AT_SEQUENCE = 6 };

/* Opens a socket for echo requests if the user may have one, and else a raw socket. */
static int open_socket(const struct target *target, const struct address *from,
                       struct error *why)
{
    int protocol = target->to.ss_family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    struct target portless = *target;
    int fd;

    target_set_port(&portless, 0); /* raw IPv6 takes a port for a protocol (raw(7), ipv6(7)) */
    fd = source_connect(&portless, SOCK_DGRAM, protocol, from);
    if (fd < 0)
        fd = source_connect(&portless, SOCK_RAW, protocol, from);
    if (fd < 0 && (errno == EPERM || errno == EACCES))
        error_set(why, "no privilege to send echo requests: it takes a group in "
                       "net.ipv4.ping_group_range, root, or CAP_NET_RAW");
    else if (fd < 0)
        error_set(why, "%s", strerror(errno));
    return fd;
}

/* Writes an echo request with the data, and returns its size. The kernel sets identifier and
 * checksum itself, but not for a raw IPv4 socket. */
static size_t make_packet(uint8_t packet[static HEADER + DATAGRAM_MAX], int family,
                          const uint8_t *bytes, size_t size)
{
    memset(packet, 0, HEADER);
    packet[0] = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    randombytes_buf(packet + AT_ID, 2);
    store_be16(packet + AT_SEQUENCE, 1);
    memcpy(packet + HEADER, bytes, size);
    store_be16(packet + AT_CHECKSUM, checksum_end(checksum_add(0, packet, HEADER + size)));
    return HEADER + size;
}

bool echo_send(const struct target *target, const struct address *from, const uint8_t *bytes,
               size_t size, struct error *why)
{
    uint8_t packet[HEADER + DATAGRAM_MAX];
    size_t whole = make_packet(packet, target->to.ss_family, bytes, size);
    int fd = open_socket(target, from, why);
    bool sent;

    if (fd < 0)
        return false;
    sent = send(fd, packet, whole, 0) == (ssize_t)whole || error_set(why, "%s", strerror(errno));
    close(fd); /* nobody waits for the reply */
    return sent;
}
