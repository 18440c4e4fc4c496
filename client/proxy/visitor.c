#include "client/proxy/visitor.h"

#include <errno.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct question {
    struct nlmsghdr header;
    struct inet_diag_req_v2 about;
};

/* One end of a connection. */
union end {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static void put_end(const union end *end, __be32 address[static 4], __be16 *port)
{
    if (end->any.sa_family == AF_INET6) {
        memcpy(address, &end->v6.sin6_addr, sizeof end->v6.sin6_addr);
        *port = end->v6.sin6_port;
    } else {
        memcpy(address, &end->v4.sin_addr, sizeof end->v4.sin_addr);
        *port = end->v4.sin_port;
    }
}

/* Asks about the socket at the other end of `fd`. False with errno. */
static bool make_question(struct question *q, int fd)
{
    union end peer = {.v6 = {0}}, own = {.v6 = {0}};
    socklen_t peer_size = sizeof peer, own_size = sizeof own;

    *q = (struct question){
        .header = {.nlmsg_len = sizeof *q, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
        .about = {.sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u,
                  .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
    };
    if (getpeername(fd, &peer.any, &peer_size) != 0 || getsockname(fd, &own.any, &own_size) != 0)
        return false;
    q->about.sdiag_family = (uint8_t)peer.any.sa_family;
    put_end(&peer, q->about.id.idiag_src, &q->about.id.idiag_sport);
    put_end(&own, q->about.id.idiag_dst, &q->about.id.idiag_dport);
    return true;
}

/* The errno that a whole answer tells, or EPROTO if it tells none. On the wire it is negative. */
static int error_in(struct nlmsghdr *answer)
{
    int error = 0;

    if (answer->nlmsg_type == NLMSG_ERROR &&
        answer->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
        error = ((const struct nlmsgerr *)NLMSG_DATA(answer))->error;
    return error < 0 && error > INT_MIN ? -error : EPROTO;
}

/* Sends the question and reads the answer, which is there by the time that send(2) returns.
 * False with errno, which is ENOENT if there is no such socket. */
static bool ask_kernel(const struct question *q, struct inet_diag_msg *answer)
{
    union {
        struct nlmsghdr header;
        char bytes[4096];
    } reply;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    ssize_t size = -1;

    if (fd >= 0 && send(fd, q, sizeof *q, 0) == sizeof *q)
        size = recv(fd, &reply, sizeof reply, MSG_DONTWAIT);
    if (fd >= 0)
        close(fd);
    if (size < 0)
        return false;
    if (!NLMSG_OK(&reply.header, (size_t)size)) {
        errno = EPROTO;
        return false;
    }
    if (reply.header.nlmsg_type == SOCK_DIAG_BY_FAMILY &&
        reply.header.nlmsg_len >= NLMSG_LENGTH(sizeof *answer)) {
        memcpy(answer, NLMSG_DATA(&reply.header), sizeof *answer);
        return true;
    }
    errno = error_in(&reply.header);
    return false;
}

bool visitor_is_own(int fd, struct error *why)
{
    struct inet_diag_msg other;
    struct question q;

    if (!make_question(&q, fd))
        return error_set(why, "it has gone: %s", strerror(errno));
    if (!ask_kernel(&q, &other))
        return error_set(why, "the kernel does not say whose it is (sock_diag: %s); if that goes "
                              "on, set Username and Password, or Users = any", strerror(errno));
    if (other.idiag_inode == 0) /* no process holds it; it counts as root's, whoever made it */
        return error_set(why, "no process holds its other end any more");
    return other.idiag_uid == geteuid() || other.idiag_uid == 0 ||
           error_set(why, "user %u is neither this one nor root; to let others in, through your "
                          "knocks and as you, set Users = any, or Username and Password",
                     other.idiag_uid);
}
