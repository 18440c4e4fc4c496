/* What proc(5) says of this process and of those it descends from: an environment, then
 * a line of what it is and whose child, and so on, parted by lines of "%%". */
#include "fuzz.h"

#include "daemon/portsmith-firewall/login.h"

static struct input left;

FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);

/* A part without a byte is a file that is not there. */
FILE *__wrap_fopen64(const char *path, const char *mode)
{
    struct input part;

    if (strncmp(path, "/proc/", 6) != 0) /* what counts which lines are run has some, too */
        return __real_fopen64(path, mode);
    part = input_part(&left);
    /* It is not written to. */
    return part.size > 0 ? fmemopen((void *)(uintptr_t)part.bytes, part.size, "r") : NULL;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint16_t port = 0;

    left = (struct input){bytes, size};
    if (login_find_ssh_port(&port))
        REQUIRE(port != 0);
    return 0;
}
