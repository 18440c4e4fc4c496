/* Which host the server's key is of: the host's own id, and the note beside the key,
 * parted by a line of "%%". */
#include "fuzz.h"

#include <stdarg.h>

#include "daemon/host/origin.h"

static const struct config config = {.profile_directory = "/run/d"};
static const char note_path[] = "/run/d/server.host", id_path[] = "/run/machine-id";

int __wrap_open64(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, mode_t mode);

/* This host's own id is not looked at. */
int __wrap_open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list more;

    va_start(more, flags);
    if (flags & O_CREAT)
        mode = va_arg(more, mode_t);
    va_end(more);
    return __real_open64(strcmp(path, "/etc/machine-id") == 0 ? id_path : path, flags, mode);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(mkdir(config.profile_directory, 0755) == 0);
    return 0;
}

static void count_report(void *data, const char *what, const char *advice)
{
    unsigned *count = data;

    REQUIRE(what[0] && advice[0]);
    (*count)++;
}

static unsigned reports(void)
{
    unsigned count = 0;

    origin_find(&config, "/run/portsmith.conf", count_report, &count);
    return count;
}

/* A part without a byte is no file. */
static void put(const char *path, struct input part)
{
    unlink(path);
    if (part.size > 0)
        fuzz_write_part(path, part);
}

static bool begins_with_id(const uint8_t *bytes, size_t size)
{
    size_t digits = 0;

    while (digits < size && digits < 32 && memchr("0123456789abcdef", bytes[digits], 16))
        digits++;
    return digits == 32;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char here[ORIGIN_NOTE_SIZE];
    struct input in = {bytes, size};
    struct error why;
    bool has_id, is_noted;

    put(id_path, input_part(&in));
    put(note_path, input_part(&in));
    has_id = origin_note(here, id_path);
    is_noted = access(note_path, F_OK) == 0;
    if (has_id)
        REQUIRE(begins_with_id(bytes, size));
    if (has_id)
        REQUIRE(strspn(here, "0123456789abcdef") == 32 && strcmp(here + 32, "\n") == 0);
    REQUIRE(reports() <= (has_id && is_noted));
    REQUIRE(origin_put_missing(&config, &why));
    REQUIRE((access(note_path, F_OK) == 0) == (has_id || is_noted));
    REQUIRE(origin_put(&config, &why) && reports() == 0);
    REQUIRE((access(note_path, F_OK) == 0) == has_id);
    return 0;
}
