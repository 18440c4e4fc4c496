#include "client/knock/pass.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* /proc names the program that the parent runs. It does not name one that may not be traced
 * (proc(5), ptrace(2)), or that is outside of this process namespace. Such a parent counts as
 * another program, which is the safer mistake: if bytes are carried to ssh, it ends with an
 * error, but a descriptor that nobody takes is lost in silence. */
static bool parent_is_ssh(void)
{
    char link[sizeof "/proc/2147483647/exe"], program[PATH_MAX];
    const char *slash;
    ssize_t size;

    snprintf(link, sizeof link, "/proc/%d/exe", (int)getppid());
    size = readlink(link, program, sizeof program - 1);
    program[size > 0 ? size : 0] = '\0';
    slash = strrchr(program, '/');
    return slash && strcmp(slash, "/ssh") == 0;
}

static bool is_unix_stream(int fd)
{
    return socket_has(fd, SO_DOMAIN, AF_UNIX) && socket_has(fd, SO_TYPE, SOCK_STREAM);
}

bool pass_is_possible(int out, struct error *why)
{
    return is_unix_stream(out) ||
           error_set(why, "standard output is no Unix socket, over which a connection could be "
                          "passed; set ProxyUseFdpass yes in ssh_config");
}

bool pass_is_expected(int in, int out)
{
    return is_unix_stream(out) && is_same_file(in, out) && parent_is_ssh();
}

bool pass_descriptor(int out, int fd, struct error *why)
{
    union {
        struct cmsghdr header; /* so that the bytes are aligned as it is */
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
