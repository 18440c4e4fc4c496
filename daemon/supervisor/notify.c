#include "daemon/supervisor/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_MAX = 200 };

static struct {
    struct sockaddr_un address;
    socklen_t size; /* of the address; 0: nobody listens */
    int64_t alive_every; /* nanoseconds between two calls of notify_alive; 0: none is wanted */
} manager;

static void read_socket(const char *name)
{
    size_t length = name ? strlen(name) : 0;

    if (length < 2 || length >= sizeof manager.address.sun_path ||
        (name[0] != '/' && name[0] != '@'))
        return;
    manager.address.sun_family = AF_UNIX;
    memcpy(manager.address.sun_path, name, length);
    if (name[0] == '@')
        manager.address.sun_path[0] = '\0';
    manager.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* Returns the number that the text is, without a sign or anything else around it; 0 if the text is
 * no number. */
static uint64_t number_in(const char *text)
{
    char *end;
    uintmax_t number;

    if (!text || text[0] < '0' || text[0] > '9')
        return 0;
    errno = 0;
    number = strtoumax(text, &end, 10);
    return errno || *end ? 0 : number;
}

/* Reads how long the manager waits for a sign of life, unless that is meant for another process,
 * whose environment this one has inherited. */
static void read_watchdog(const char *microseconds, const char *pid)
{
    uint64_t patience = number_in(microseconds);

    if (pid && number_in(pid) != (uint64_t)getpid())
        return;
    if (patience >= 2 && patience <= INT64_MAX / 1000)
        manager.alive_every = (int64_t)(patience / 2) * 1000;
}

void notify_read_environment(void)
{
    memset(&manager, 0, sizeof manager);
    read_socket(getenv("NOTIFY_SOCKET"));
    if (manager.size > 0)
        read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
}

static void say(const char *text)
{
    int fd;

    if (manager.size == 0)
        return;
    /* Each message has a socket of its own, as a manager that starts anew makes its own anew. */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
           (const struct sockaddr *)&manager.address, manager.size);
    close(fd);
}

void notify_ready(void)
{
    say("READY=1");
}

void notify_reloading(void)
{
    struct timespec now;
    char text[64];

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
             (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    say(text);
}

void notify_stopping(void)
{
    say("STOPPING=1");
}

void notify_status(const char *status)
{
    char text[sizeof "STATUS=" + STATUS_MAX];

    snprintf(text, sizeof text, "STATUS=%s", status);
    say(text);
}

void notify_alive(void)
{
    say("WATCHDOG=1");
}

int64_t notify_alive_every_ns(void)
{
    return manager.alive_every;
}
