#include "client/syn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "client/checksum.h"
#include "client/source.h"
#include "common/bytes.h"
#include "common/envelope.h"

/* ---- by TCP Fast Open ------------------------------------------------------- */

/* The bytes of options that Linux keeps room for in a SYN with data (tcp_send_syn_data). */
enum { OPTIONS_MAX = 40 };

static const char *explain(int error)
{
    switch (error) {
    case EMSGSIZE:
        return "a SYN that holds the knock is larger than packets on this route may be (ip route "
               "get shows its mtu); by udp the knock is smaller";
    case EOPNOTSUPP:
        return "TCP Fast Open is switched off for clients (set net.ipv4.tcp_fastopen to 1 or 3)";
    case ENOPROTOOPT:
        return "this kernel has no TCP Fast Open without cookies (Linux 4.15 has)";
    case EINPROGRESS: /* a SYN has gone, but without the data */
        return "this kernel does not use TCP Fast Open for now "
               "(net.ipv4.tcp_fastopen_blackhole_timeout_sec)";
    default:
        return strerror(error);
    }
}

/* Whether one SYN can hold `size` bytes: half a knock in the SYN, and the rest after a
 * handshake, would be no knock. Sets errno to EMSGSIZE in any case, which is then the reason if
 * sendto(2) sends less. */
static bool fits(const struct target *target, size_t size)
{
    bool is_ipv4 = target->to.ss_family == AF_INET;
    size_t headers = (is_ipv4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr)) +
                     sizeof(struct tcphdr) + OPTIONS_MAX;
    socklen_t length = sizeof(int);
    struct address unused;
    struct error why;
    int fd = source_connect_udp(target, &unused, &why), mtu = 0;
    bool is_known = fd >= 0 && getsockopt(fd, is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
                                          is_ipv4 ? IP_MTU : IPV6_MTU, &mtu, &length) == 0;

    if (fd >= 0)
        close(fd);
    errno = EMSGSIZE;
    return !is_known || headers + size <= (size_t)mtu;
}

/* The socket is closed at once, so that nothing follows its SYN. The kernel answers what comes back
 * as it does for any connection that it does not know. If a service has accepted the connection
 * already, it is reset. */
static bool send_by_fast_open(const struct target *target, const struct address *from,
                              const uint8_t *bytes, size_t size)
{
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    static const int on = 1;
    int fd = socket(target->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool sent = fd >= 0 && (!from || source_bind(fd, target, from)) && fits(target, size) &&
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0 &&
                setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof on) == 0 &&
                sendto(fd, bytes, size, MSG_FASTOPEN | MSG_NOSIGNAL,
                       (const struct sockaddr *)&target->to, target->size) == (ssize_t)size;
    int error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
    return sent;
}

/* ---- by a raw socket -------------------------------------------------------- */

enum {
    HEADER = 24, /* bytes: RFC 9293, 3.1, with the one option that every SYN should have */
    AT_DESTINATION = 2,
    AT_SEQUENCE = 4,
    AT_OFFSET = 12,
    AT_FLAGS = 13,
    AT_WINDOW = 14,
    AT_CHECKSUM = 16,
    AT_MSS = 20,
    SYN = 0x02,
    WINDOW = 64240,
    MSS = 1440, /* fits IPv4 and IPv6 over Ethernet */
    FIRST_PORT = 32768, /* the range that Linux takes: net.ipv4.ip_local_port_range */
    PORTS = 28232,
};

/* The checksum of a segment, which covers a pseudo-header, too (RFC 9293, 3.1). Both families are
 * summed alike: the prefix of a mapped IPv4 address holds one 0xffff, which does not change such a
 * sum. */
static uint16_t checksum_of(const struct address *source, const struct address *destination,
                            const uint8_t *segment, size_t size)
{
    uint32_t sum = IPPROTO_TCP + (uint32_t)size;

    sum = checksum_add(sum, source->bytes, sizeof source->bytes);
    sum = checksum_add(sum, destination->bytes, sizeof destination->bytes);
    return checksum_end(checksum_add(sum, segment, size));
}

static size_t make_segment(uint8_t segment[static HEADER + DATAGRAM_MAX],
                           const struct target *target, const struct address *source,
                           const uint8_t *bytes, size_t size)
{
    struct address destination;

    memset(segment, 0, HEADER);
    store_be16(segment, (uint16_t)(FIRST_PORT + randombytes_uniform(PORTS)));
    store_be16(segment + AT_DESTINATION, target_port(target));
    randombytes_buf(segment + AT_SEQUENCE, 4);
    segment[AT_OFFSET] = HEADER / 4 << 4;
    segment[AT_FLAGS] = SYN;
    store_be16(segment + AT_WINDOW, WINDOW);
    segment[AT_MSS] = TCPOPT_MAXSEG;
    segment[AT_MSS + 1] = TCPOLEN_MAXSEG;
    store_be16(segment + AT_MSS + 2, MSS);
    memcpy(segment + HEADER, bytes, size);
    address_from_sockaddr(&destination, (const struct sockaddr *)&target->to);
    store_be16(segment + AT_CHECKSUM, checksum_of(source, &destination, segment, HEADER + size));
    return HEADER + size;
}

static bool send_raw(const struct target *target, const struct address *from,
                     const uint8_t *bytes, size_t size, struct error *why)
{
    uint8_t segment[HEADER + DATAGRAM_MAX];
    struct target portless = *target;
    struct address source;
    bool sent = false;
    int fd;

    target_set_port(&portless, 0); /* raw IPv6 takes a port for a protocol (raw(7), ipv6(7)) */
    fd = source_connect(&portless, SOCK_RAW, IPPROTO_TCP, from);
    if (fd >= 0 && source_of_socket(fd, &source)) {
        size = make_segment(segment, target, &source, bytes, size);
        sent = send(fd, segment, size, 0) == (ssize_t)size;
    }
    if (!sent)
        error_set(why, "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return sent;
}

bool syn_send(const struct target *target, const struct address *from, const uint8_t *bytes,
              size_t size, struct error *why)
{
    const char *obstacle;

    if (send_by_fast_open(target, from, bytes, size))
        return true;
    obstacle = explain(errno);
    if (send_raw(target, from, bytes, size, why))
        return true;
    if (errno != EPERM)
        return false;
    return error_set(why, "no TCP SYN with data: %s; a raw socket in its place takes root or "
                          "CAP_NET_RAW", obstacle);
}
