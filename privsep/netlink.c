/* Writes questions to the kernel, and reads its answers, in fixed storage. */
#include "privsep/netlink.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    ANSWER_SIZE = 32768, /* the most that the kernel puts into one (netlink_recvmsg) */
    SECONDS_MAX = 1,     /* for all of the answers to one question */
};

/* A connected socket hears the kernel alone, and no other process. */
int netlink_open(int protocol)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&kernel, sizeof kernel) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void netlink_make_room(int fd, int bytes)
{
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

/* ---- questions ---------------------------------------------------------- */

size_t netlink_aligned(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

void netlink_begin(union question *q, unsigned type, unsigned flags)
{
    q->header = (struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN,
                                  .nlmsg_type = (uint16_t)type,
                                  .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)};
}

void netlink_put(union question *q, const void *bytes, size_t size)
{
    uint8_t *to = q->bytes + q->header.nlmsg_len;

    memcpy(to, bytes, size);
    memset(to + size, 0, netlink_aligned(size) - size);
    q->header.nlmsg_len += (uint32_t)netlink_aligned(size);
}

void netlink_put_attribute(union question *q, unsigned type, const void *bytes,
                           size_t size)
{
    const struct nlattr header = {.nla_len = (uint16_t)(sizeof(struct nlattr) + size),
                                  .nla_type = (uint16_t)type};

    netlink_put(q, &header, sizeof header);
    netlink_put(q, bytes, size);
}

uint32_t netlink_begin_nest(union question *q, unsigned type)
{
    uint32_t at = q->header.nlmsg_len;

    netlink_put_attribute(q, type | NLA_F_NESTED, "", 0);
    return at;
}

void netlink_end_nest(union question *q, uint32_t at)
{
    const uint16_t size = (uint16_t)(q->header.nlmsg_len - at);

    memcpy(q->bytes + at + offsetof(struct nlattr, nla_len), &size, sizeof size);
}

/* ---- answers ------------------------------------------------------------ */

static int give_up(int *fd)
{
    close(*fd);
    *fd = -1;
    return EIO;
}

/* Returns the errno in an NLMSG_ERROR or NLMSG_DONE, which carry it negated; 0: no error. */
static int number_in(struct span payload)
{
    int number = -EIO;

    if (payload.size >= sizeof number)
        memcpy(&number, payload.bytes, sizeof number);
    return number <= 0 && number > INT_MIN ? -number : EIO;
}

/* Hands on what one datagram says. Returns -1 when there is more to come, else an errno or 0. */
static int read_datagram(struct span from, uint32_t sequence, answer_handler *handle, void *into)
{
    struct nlmsghdr header;

    while (from.size >= sizeof header) {
        struct span payload;
        size_t step;

        memcpy(&header, from.bytes, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > from.size)
            return EIO;
        payload = (struct span){from.bytes + sizeof header, header.nlmsg_len - sizeof header};
        if (header.nlmsg_seq != sequence)
            return EIO;
        if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE)
            return number_in(payload);
        if (handle)
            handle(into, payload);
        step = netlink_aligned(header.nlmsg_len);
        if (step >= from.size)
            break;
        from = (struct span){from.bytes + step, from.size - step};
    }
    return -1;
}

int netlink_receive(int fd, int flags, uint8_t *bytes, size_t size, struct span *got)
{
    struct sockaddr_nl sender = {0};
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr header = {
        .msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    *got = (struct span){bytes, 0};
    do
        n = recvmsg(fd, &header, MSG_DONTWAIT | flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno;
    *got = (struct span){bytes, (size_t)n};
    return n > 0 && !(header.msg_flags & MSG_TRUNC) && header.msg_namelen == sizeof sender &&
                   sender.nl_pid == 0
               ? 0
               : EIO;
}

static uint8_t *answer_space(void)
{
    static uint8_t bytes[ANSWER_SIZE];

    return bytes;
}

int netlink_ask(int *fd, union question *q, answer_handler *handle, void *into)
{
    return netlink_ask_until(fd, q, clock_boot_ns() + (int64_t)SECONDS_MAX * NSEC_PER_SEC, handle,
                             into);
}

int netlink_ask_until(int *fd, union question *q, int64_t until, answer_handler *handle,
                      void *into)
{
    static uint32_t sequence;
    int result = -1;

    if (*fd < 0)
        return EOPNOTSUPP;
    q->header.nlmsg_seq = ++sequence;
    if (send(*fd, q, q->header.nlmsg_len, MSG_DONTWAIT) != (ssize_t)q->header.nlmsg_len)
        return give_up(fd);
    /* The time is looked at after a datagram: a process that slept has the answer by now. */
    while (result < 0) {
        struct span got;

        /* The kernel has put it there before send(2), or the recv(2) before this one, returned. */
        if (netlink_receive(*fd, 0, answer_space(), ANSWER_SIZE, &got) != 0)
            return give_up(fd);
        result = read_datagram(got, q->header.nlmsg_seq, handle, into);
        if (result < 0 && clock_boot_ns() > until)
            return give_up(fd);
    }
    /* After a broken end, answers that are left would be taken for the next question's. */
    return result == EIO ? give_up(fd) : result;
}

/* ---- attributes --------------------------------------------------------- */

struct span netlink_find_whole(struct span in, unsigned type)
{
    struct nlattr header;

    while (in.bytes && in.size >= sizeof header) {
        size_t step;

        memcpy(&header, in.bytes, sizeof header);
        if (header.nla_len < sizeof header || header.nla_len > in.size)
            break;
        if ((header.nla_type & NLA_TYPE_MASK) == type)
            return (struct span){in.bytes, header.nla_len};
        step = netlink_aligned(header.nla_len);
        if (step >= in.size)
            break;
        in = (struct span){in.bytes + step, in.size - step};
    }
    return (struct span){NULL, 0};
}

struct span netlink_find(struct span in, unsigned type)
{
    struct span whole = netlink_find_whole(in, type);
    const size_t header = sizeof(struct nlattr);

    return whole.bytes ? (struct span){whole.bytes + header, whole.size - header} : whole;
}

bool netlink_read(struct span in, unsigned type, void *to, size_t size)
{
    struct span found = netlink_find(in, type);

    if (!found.bytes || found.size != size)
        return false;
    memcpy(to, found.bytes, size);
    return true;
}
