/* News of nftables: it rings or not, and whoever is named has a name that the log can
 * print. A row of messages, each with its size before it; sizes that none has stand for
 * what recv(2) says otherwise. */
#include "fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <sys/socket.h>

#include "privsep/xtables/bell.h"

enum { IS_INTERRUPTED = 0xfffe, IS_LOST = 0xffff };

static struct input left;

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    size_t wanted = left.size >= 2 ? left.bytes[0] | (size_t)left.bytes[1] << 8 : 0;
    bool is_over = left.size == 0;
    struct input in = {NULL, 0};

    (void)fd, (void)flags;
    if (wanted >= IS_INTERRUPTED)
        left = (struct input){left.bytes + 2, left.size - 2};
    else
        in = input_message(&left);
    errno = is_over ? EAGAIN : wanted == IS_LOST ? ENOBUFS : EINTR;
    if (is_over || wanted >= IS_INTERRUPTED)
        return -1;
    in.size = in.size < size ? in.size : size; /* the rest is cut */
    memcpy(bytes, in.bytes, in.size);
    return (ssize_t)in.size;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;
    int bell;

    (void)count, (void)arguments;
    fuzz_enter();
    bell = bell_open(&why);
    REQUIRE(bell >= 0);
    close(bell);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const uint32_t own = 7;
    struct bell_ringer ringer = {.pid = 0};
    const char *end;

    left = (struct input){bytes, size};
    if (!bell_rang(-1, &own, 1, &ringer))
        REQUIRE(ringer.pid == 0);
    end = memchr(ringer.name, '\0', sizeof ringer.name);
    REQUIRE(end != NULL);
    for (const char *at = ringer.name; at < end; at++)
        REQUIRE(isgraph((unsigned char)*at));
    return 0;
}
