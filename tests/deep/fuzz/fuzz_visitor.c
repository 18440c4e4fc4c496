/* What the kernel answers when it is asked whose a connection to loopback is. */
#include "fuzz.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "client/proxy/visitor.h"

static struct input answer;
static int peer; /* of a connection over loopback */

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    struct nlmsghdr header;

    (void)fd, (void)flags;
    REQUIRE(size >= sizeof header);
    memcpy(&header, bytes, sizeof header);
    REQUIRE(header.nlmsg_len == size && header.nlmsg_type == SOCK_DIAG_BY_FAMILY);
    return (ssize_t)size;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    size_t n = answer.size < size ? answer.size : size;

    (void)fd, (void)flags;
    errno = EAGAIN;
    if (n == 0)
        return -1;
    memcpy(bytes, answer.bytes, n);
    return (ssize_t)n;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t size = sizeof at;
    int listener, client;

    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(system("ip link set lo up") == 0);
    listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind(listener, (const struct sockaddr *)&at, sizeof at) == 0);
    REQUIRE(listen(listener, 1) == 0);
    REQUIRE(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    REQUIRE(connect(client, (const struct sockaddr *)&at, size) == 0);
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    REQUIRE(peer >= 0);
    return 0;
}

/* Nobody is let in but this user, who is root here, and by a whole answer. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct inet_diag_msg message = {.idiag_uid = UINT32_MAX};
    struct error why = {""};

    answer = (struct input){bytes, size};
    if (size >= NLMSG_HDRLEN + sizeof message)
        memcpy(&message, bytes + NLMSG_HDRLEN, sizeof message);
    if (visitor_is_own(peer, &why))
        REQUIRE(message.idiag_uid == 0 && message.idiag_inode != 0);
    else
        REQUIRE(why.text[0]);
    return 0;
}
