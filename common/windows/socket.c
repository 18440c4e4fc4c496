#include "common/windows/posix.h"

#include <stdarg.h>
#include <stdbool.h>

#undef socket
#undef bind
#undef connect
#undef getsockname
#undef getpeername
#undef getsockopt
#undef setsockopt
#undef send
#undef recv
#undef shutdown
#undef close

/* A process has at most 2^24 handles, each a multiple of 4, and files' descriptors are fewer. */
enum { IS_SOCKET = 1 << 30 };

__attribute__((constructor)) static void begin(void)
{
    WSADATA unused;

    WSAStartup(MAKEWORD(2, 2), &unused);
}

static bool is_socket(int fd)
{
    return fd >= 0 && (fd & IS_SOCKET);
}

static SOCKET socket_of(int fd)
{
    return is_socket(fd) ? (SOCKET)(fd & ~IS_SOCKET) : INVALID_SOCKET;
}

static int result_of(int result)
{
    return result == SOCKET_ERROR ? windows_fail((unsigned)WSAGetLastError()) : result;
}

static int set_blocking(int fd, bool blocks)
{
    u_long set = !blocks;

    return result_of(ioctlsocket(socket_of(fd), (long)FIONBIO, &set));
}

int windows_socket(int family, int type, int protocol)
{
    SOCKET made = WSASocketW(family, type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK), protocol, NULL, 0,
                             WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);

    if (made == INVALID_SOCKET)
        return result_of(SOCKET_ERROR);
    if (made >= IS_SOCKET) {
        closesocket(made);
        return windows_fail(WSAEMFILE);
    }
    if (type & SOCK_NONBLOCK)
        set_blocking((int)made | IS_SOCKET, false);
    return (int)made | IS_SOCKET;
}

int windows_close(int fd)
{
    return is_socket(fd) ? result_of(closesocket(socket_of(fd))) : _close(fd);
}

/* Sockets alone have flags that can be set: whether they block. */
int windows_fcntl(int fd, int command, ...)
{
    if (command == F_DUPFD_CLOEXEC)
        return _dup(fd);
    if (command == F_GETFD)
        return is_socket(fd) || _get_osfhandle(fd) >= 0 ? 0 : -1;
    return command == F_SETFL ? set_blocking(fd, true) : 0;
}

int windows_bind(int fd, const struct sockaddr *at, socklen_t size)
{
    return result_of(bind(socket_of(fd), at, size));
}

int windows_connect(int fd, const struct sockaddr *to, socklen_t size)
{
    int result = result_of(connect(socket_of(fd), to, size));

    if (result < 0 && errno == EAGAIN)
        errno = EINPROGRESS;
    return result;
}

int windows_getsockname(int fd, struct sockaddr *at, socklen_t *size)
{
    return result_of(getsockname(socket_of(fd), at, size));
}

int windows_getpeername(int fd, struct sockaddr *to, socklen_t *size)
{
    return result_of(getpeername(socket_of(fd), to, size));
}

int windows_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    int result = result_of(getsockopt(socket_of(fd), level, option, value, size)), error;

    if (result == 0 && level == SOL_SOCKET && option == SO_ERROR) {
        memcpy(&error, value, sizeof error);
        if (error != 0)
            windows_fail((unsigned)error);
        memcpy(value, error != 0 ? &errno : &error, sizeof error);
    }
    return result;
}

int windows_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    return result_of(setsockopt(socket_of(fd), level, option, value, size));
}

ssize_t windows_send(int fd, const void *bytes, size_t size, int flags)
{
    return result_of(send(socket_of(fd), bytes, (int)size, flags));
}

ssize_t windows_recv(int fd, void *bytes, size_t size, int flags)
{
    return result_of(recv(socket_of(fd), bytes, (int)size, flags));
}

int windows_shutdown(int fd, int how)
{
    return result_of(shutdown(socket_of(fd), how));
}

/* WSAPoll takes no list without a socket. */
int windows_poll(struct pollfd *polled, nfds_t count, int milliseconds)
{
    WSAPOLLFD *sockets = calloc(count + 1, sizeof *sockets);
    bool any = false;
    int found = 0;

    if (!sockets)
        return -1;
    for (nfds_t i = 0; i < count; i++) {
        sockets[i] = (WSAPOLLFD){socket_of(polled[i].fd), polled[i].events, 0};
        any |= is_socket(polled[i].fd);
    }
    if (any)
        found = result_of(WSAPoll(sockets, count, milliseconds));
    else
        Sleep((DWORD)milliseconds);
    for (nfds_t i = 0; i < count; i++)
        polled[i].revents = is_socket(polled[i].fd) && found > 0 ? sockets[i].revents : 0;
    free(sockets);
    return found;
}
