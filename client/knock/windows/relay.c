/* The relay where poll(2) knows sockets alone: what comes from `in` has a thread. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/knock/relay.h"

struct up {
    int in, socket;
    struct error why; /* empty: all was sent */
};

static bool send_all(int socket, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(socket, bytes, size, 0);

        if (sent < 0)
            return false;
        bytes += sent;
        size -= (size_t)sent;
    }
    return true;
}

/* A pipe whose writer has ended is at its end. */
static DWORD WINAPI carry_up(void *of)
{
    struct up *up = of;
    char bytes[32 * 1024];
    int size;

    while ((size = read(up->in, bytes, sizeof bytes)) > 0)
        if (!send_all(up->socket, bytes, (size_t)size)) {
            error_set(&up->why, "sending: %s", strerror(errno));
            return 0;
        }
    shutdown(up->socket, SHUT_WR);
    return 0;
}

static bool carry_down(int socket, int out, struct error *why)
{
    char bytes[32 * 1024];
    ssize_t size;

    while ((size = recv(socket, bytes, sizeof bytes, 0)) > 0)
        for (ssize_t at = 0; at < size;) {
            int done = write(out, bytes + at, (unsigned)(size - at));

            if (done <= 0)
                return error_set(why, "receiving: %s", strerror(errno));
            at += done;
        }
    return size == 0 || error_set(why, "receiving: %s", strerror(errno));
}

/* Whoever started this may have ended, so that nothing comes of `in` any more, but keep it open:
 * after an error nobody waits for the thread. */
bool relay_run(int in, int out, int socket, struct error *why)
{
    static struct up up; /* the thread may outlive this call */
    HANDLE thread;

    up = (struct up){.in = in, .socket = socket};
    thread = CreateThread(NULL, 0, carry_up, &up, 0, NULL);

    if (!thread)
        return error_set(why, "no thread can be made");
    if (!carry_down(socket, out, why))
        return false;
    close(out);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    if (up.why.text[0] == '\0')
        return true;
    *why = up.why;
    return false;
}
