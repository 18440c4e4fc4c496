/* What the client calls of POSIX, and Windows lacks. portable.h has each file begin with this one,
 * by way of the headers that windows.cmake makes. A call sets errno, as POSIX has it. Descriptors
 * of sockets are told from those of files by a bit. Files are read and written as bytes. */
#ifndef PORTSMITH_WINDOWS_POSIX_H
#define PORTSMITH_WINDOWS_POSIX_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include <direct.h>
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#undef far
#undef near
#undef NEAR

/* ---- files ---------------------------------------------------------------- */

#define O_CLOEXEC O_NOINHERIT
#define O_NOFOLLOW 0x01000000
#define O_NONBLOCK 0 /* of files only: none of them has anybody wait */
#define O_NOCTTY 0
#define AT_FDCWD (-1)

enum { F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, FD_CLOEXEC };

/* Makes files that the user alone may use, whatever the mode. A link that O_NOFOLLOW finds gives
 * ELOOP. "/dev/null" is NUL. */
int windows_open(const char *path, int flags, ...);
int windows_close(int fd);
int windows_fcntl(int fd, int command, ...);

/* As windows_open makes files. EEXIST if there is a directory. */
int windows_mkdir(const char *path);

/* In one step, also in the place of a file that is there. */
int windows_rename(const char *from, const char *to);

#define open windows_open
#define close windows_close
#define fcntl windows_fcntl
#define mkdir(path, mode) windows_mkdir((mode) ? (path) : "")
#define renameat(at, from, to_at, to) windows_rename(from, to)
/* Who may use it was settled as it was made. */
#define fchmod(fd, mode) ((fd) >= 0 && (mode) ? 0 : -1)
#define fsync _commit
#define read(fd, bytes, size) _read(fd, bytes, (unsigned)(size))
#define write(fd, bytes, size) _write(fd, bytes, (unsigned)(size))
#define pipe(ends) _pipe(ends, 65536, O_BINARY | O_NOINHERIT)

/* Gives what CreateFileA and the like take for what windows_open makes. NULL with errno. The caller
 * frees its lpSecurityDescriptor by LocalFree. */
SECURITY_ATTRIBUTES *windows_private(SECURITY_ATTRIBUTES *attributes);

/* Sets errno by an error of Windows's own, or of its sockets. Returns -1. */
int windows_fail(unsigned error);

/* ---- sockets -------------------------------------------------------------- */

#define SOCK_CLOEXEC 0x10000000
#define SOCK_NONBLOCK 0x20000000
#define MSG_NOSIGNAL 0
#define SHUT_WR SD_SEND
#define EAI_SYSTEM 0 /* is no failure here */

typedef unsigned long nfds_t;

struct windows_pollfd {
    int fd; /* of a socket; negative ones are passed over */
    short events, revents;
};

#define pollfd windows_pollfd

int windows_socket(int family, int type, int protocol);
int windows_bind(int fd, const struct sockaddr *at, socklen_t size);
int windows_connect(int fd, const struct sockaddr *to, socklen_t size);
int windows_getsockname(int fd, struct sockaddr *at, socklen_t *size);
int windows_getpeername(int fd, struct sockaddr *to, socklen_t *size);
int windows_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int windows_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
ssize_t windows_send(int fd, const void *bytes, size_t size, int flags);
ssize_t windows_recv(int fd, void *bytes, size_t size, int flags);
int windows_shutdown(int fd, int how);
int windows_poll(struct pollfd *polled, nfds_t count, int milliseconds);

#define socket windows_socket
#define bind windows_bind
#define connect windows_connect
#define getsockname windows_getsockname
#define getpeername windows_getpeername
#define getsockopt windows_getsockopt
#define setsockopt windows_setsockopt
#define send windows_send
#define recv windows_recv
#define shutdown windows_shutdown
#define poll windows_poll

/* ---- others --------------------------------------------------------------- */

enum { EX_CONFIG = 78 }; /* sysexits.h of BSD */

const char *windows_strerror(int error);

#define strerror windows_strerror

void warn(const char *format, ...) __attribute__((format(gnu_printf, 1, 2)));
void warnx(const char *format, ...) __attribute__((format(gnu_printf, 1, 2)));
_Noreturn void errx(int status, const char *format, ...) __attribute__((format(gnu_printf, 2, 3)));

#endif
