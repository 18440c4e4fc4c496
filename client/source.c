#include "client/source.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "client/platform/platform.h"

const char *source_explain(int error)
{
    return error == EACCES ? "Permission denied: a route of this machine forbids it (ip route "
                             "get), or it is a broadcast address" : strerror(error);
}

bool source_of_socket(int fd, struct address *source)
{
    struct sockaddr_storage local;
    socklen_t size = sizeof local;

    return getsockname(fd, (struct sockaddr *)&local, &size) == 0 &&
           address_from_sockaddr(source, (const struct sockaddr *)&local);
}

bool source_is(int fd, const struct address *source)
{
    struct address local;

    return source_of_socket(fd, &local) && address_equal(&local, source);
}

bool source_bind(int fd, const struct target *target, const struct address *source)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    /* A port that is chosen when the socket is bound would be taken from all targets alike, and
     * there are few. */
    platform_bind_without_port(fd);
    if (target->to.ss_family == AF_INET) {
        memcpy(&v4.sin_addr, source->bytes + 12, sizeof v4.sin_addr);
        return bind(fd, (const struct sockaddr *)&v4, sizeof v4) == 0;
    }
    memcpy(&v6.sin6_addr, source->bytes, sizeof v6.sin6_addr);
    /* A link-local address has the scope of the target's. */
    v6.sin6_scope_id = ((const struct sockaddr_in6 *)&target->to)->sin6_scope_id;
    return bind(fd, (const struct sockaddr *)&v6, sizeof v6) == 0;
}

/* Connects a socket that is bound to `from`, or not bound if that is NULL. Returns it, or -1 with
 * errno. */
static int connect_once(const struct target *target, int type, int protocol,
                        const struct address *from, bool unseen)
{
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int error, fd = socket(target->to.ss_family, type | SOCK_CLOEXEC, protocol);

    if (fd < 0)
        return -1;
    if (unseen) {
        platform_hold_ack(fd);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    if ((!from || source_bind(fd, target, from)) &&
        (connect(fd, (const struct sockaddr *)&target->to, target->size) == 0 ||
         errno == EINPROGRESS))
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int connect_from(const struct target *target, int type, int protocol,
                        const struct address *from, bool unseen)
{
    int fd = connect_once(target, type, protocol, NULL, unseen);

    if (fd < 0 || !from || source_is(fd, from))
        return fd;
    close(fd);
    return connect_once(target, type, protocol, from, unseen);
}

int source_connect(const struct target *target, int type, int protocol,
                   const struct address *from)
{
    return connect_from(target, type, protocol, from, false);
}

int source_connect_udp(const struct target *target, struct address *source, struct error *why)
{
    int fd = source_connect(target, SOCK_DGRAM, 0, NULL);

    if (fd >= 0 && source_of_socket(fd, source))
        return fd;
    error_set(why, "%s", source_explain(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int source_connect_unseen(const struct target *target, const struct address *from)
{
    return connect_from(target, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP, from, true);
}

/* Whether the kernel puts connections off. It is tried on loopback and at port 0, where nothing can
 * listen: if the kernel sends a SYN after all, nobody gets it. */
static bool kernel_puts_off(void)
{
    const struct sockaddr_in nobody = {.sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = platform_connect_later((const struct sockaddr *)&nobody, sizeof nobody);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool source_of_tcp(const struct target *target, uint16_t port, struct address *source,
                   struct error *why)
{
    struct target to = *target;
    bool found;
    int fd = -1;

    target_set_port(&to, port);
    if (kernel_puts_off())
        fd = platform_connect_later((const struct sockaddr *)&to.to, to.size);
    if (fd < 0)
        fd = source_connect(&to, SOCK_DGRAM, 0, NULL);
    found = fd >= 0 && source_of_socket(fd, source);
    if (!found)
        error_set(why, "%s", source_explain(errno));
    if (fd >= 0)
        close(fd);
    return found;
}
