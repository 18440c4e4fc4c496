#include "pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static bool is_same_file(int a, int b)
{
    struct stat of_a, of_b;

    return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

static bool socket_has(int fd, int option, int wanted)
{
    socklen_t size = sizeof wanted;
    int value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

bool pass_is_wanted(int in, int out)
{
    return socket_has(out, SO_DOMAIN, AF_UNIX) && socket_has(out, SO_TYPE, SOCK_STREAM) &&
           is_same_file(in, out);
}

bool pass_descriptor(int out, int fd, struct error *why)
{
    union {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {0};
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(out, &message, MSG_NOSIGNAL) == 1 ||
           error_set(why, "the connection could not be passed over standard output: %s",
                     strerror(errno));
}
