/* What systems lack that have POSIX.1-2008, or most of it. probes.cmake looks for what has a HAVE_,
 * and has each file begin with this one; Linux does without. */
#ifndef PORTSMITH_PORTABLE_H
#define PORTSMITH_PORTABLE_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef NI_MAXHOST
#define NI_MAXHOST 1025
#define NI_MAXSERV 32
#endif

#ifndef CLOCK_BOOTTIME
#define CLOCK_BOOTTIME CLOCK_MONOTONIC
#endif

#ifndef HAVE_ADJTIMEX
#define adjtimex ntp_adjtime
#endif

#ifndef HAVE_FDATASYNC
#define fdatasync fsync
#endif

#ifdef HAVE_GETPROGNAME
#define program_invocation_short_name getprogname()
#else
extern char *program_invocation_short_name;
#endif

#ifndef HAVE_MEMMEM
static inline void *memmem(const void *in, size_t size, const void *what, size_t of)
{
    for (const char *at = in; size >= of; at++, size--)
        if (memcmp(at, what, of) == 0)
            return (void *)(uintptr_t)at;
    return NULL;
}
#endif

#ifndef HAVE_MEMRCHR
static inline void *memrchr(const void *bytes, int byte, size_t size)
{
    for (const unsigned char *at = (const unsigned char *)bytes + size; size > 0; size--)
        if (*--at == (unsigned char)byte)
            return (void *)(uintptr_t)at;
    return NULL;
}
#endif

#ifndef HAVE_REALLOCARRAY
static inline void *reallocarray(void *old, size_t count, size_t size)
{
    if (size == 0 || count <= SIZE_MAX / size)
        return realloc(old, count * size);
    errno = ENOMEM;
    return NULL;
}
#endif

#ifndef HAVE_STRSEP
static inline char *strsep(char **rest, const char *ends)
{
    char *word = *rest;

    if (!word)
        return NULL;
    *rest = word[strcspn(word, ends)] == '\0' ? NULL : word + strcspn(word, ends) + 1;
    word[strcspn(word, ends)] = '\0';
    return word;
}
#endif

#ifndef HAVE_PIPE2
static inline int pipe2(int ends[2], int flags)
{
    (void)flags; /* O_CLOEXEC alone is asked for */
    if (pipe(ends) != 0)
        return -1;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return 0;
}
#endif

#ifndef HAVE_PPOLL
static inline int ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout,
                        const void *signals)
{
    (void)signals; /* none are asked for */
    return poll(polled, count, (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000));
}
#endif

/* macOS has neither. A socket that nobody reads gives EPIPE there only if it is told so. */
#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0x10000000
#define SOCK_NONBLOCK 0x20000000

static inline int portable_socket(int family, int type, int protocol)
{
    int on = 1, fd = socket(family, type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK), protocol);

    if (fd < 0)
        return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (type & SOCK_NONBLOCK)
        fcntl(fd, F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return fd;
}
#define socket portable_socket
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

#endif
