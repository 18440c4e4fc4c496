/* What Linux adds to POSIX: see tcp(7) and ip(7). */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "client/platform/platform.h"

static const int on = 1, off = 0;

void platform_bind_without_port(int fd)
{
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
}

void platform_hold_ack(int fd)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
}

int platform_connect_later(const struct sockaddr *to, socklen_t size)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 ||
        (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) == 0 &&
         setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof on) == 0 &&
         connect(fd, to, size) == 0))
        return fd;
    close(fd);
    return -1;
}
