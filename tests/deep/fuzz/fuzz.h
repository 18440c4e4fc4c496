/* What every fuzz target needs. A target is a function of bytes that anybody may
 * have written; libFuzzer, AFL++ and replay.c call it. It must not depend on what
 * it was called with before. */
#ifndef PORTSMITH_FUZZ_H
#define PORTSMITH_FUZZ_H

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Ends the program where what must be so is not. Standard error is the log's. */
#define REQUIRE(condition)                                                                  \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            fflush(stdout);                                                                 \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

/* What is left of the input. */
struct input {
    const uint8_t *bytes;
    size_t size;
};

/* Takes the next bytes; zeros stand for those that are missing. */
static inline void input_take(struct input *in, void *to, size_t size)
{
    size_t n = size < in->size ? size : in->size;

    memset(to, 0, size);
    if (n == 0)
        return;
    memcpy(to, in->bytes, n);
    in->bytes += n;
    in->size -= n;
}

static inline uint8_t input_byte(struct input *in)
{
    uint8_t byte;

    input_take(in, &byte, 1);
    return byte;
}

/* The rest as text, up to a first zero byte; the caller frees it. */
static inline char *input_text(const struct input *in)
{
    char *text = in->size > 0 ? strndup((const char *)in->bytes, in->size) : strdup("");

    REQUIRE(text);
    return text;
}

/* Takes what is before the next line of "%%", or all there is; what it returns has no
 * bytes when nothing is left. */
static inline struct input input_part(struct input *in)
{
    static const char parting[] = "%%\n";
    const uint8_t *next =
        in->size > 0 ? memmem(in->bytes, in->size, parting, sizeof parting - 1) : NULL;
    struct input part = {in->bytes, next ? (size_t)(next - in->bytes) : in->size};

    in->bytes += part.size;
    in->size -= part.size;
    if (next) {
        in->bytes += sizeof parting - 1;
        in->size -= sizeof parting - 1;
    }
    return part;
}

/* Takes a message: its size in two bytes, little-endian, then as many bytes as are there. */
static inline struct input input_message(struct input *in)
{
    size_t low = input_byte(in), size = low | (size_t)input_byte(in) << 8;
    struct input message = {in->bytes, size < in->size ? size : in->size};

    in->bytes += message.size;
    in->size -= message.size;
    return message;
}

/* An empty directory for files, /run, which nobody else sees and which ends with
 * the process; no network either. Returns a descriptor of it. Wants root. */
static inline int fuzz_enter(void)
{
    int directory;

    signal(SIGPIPE, SIG_IGN); /* as in the daemon */
    umask(022);
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0) {
        perror("fuzzing wants root and namespaces");
        exit(EXIT_FAILURE);
    }
    REQUIRE(sodium_init() >= 0);
    directory = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(directory >= 0);
    return directory;
}

/* A file of mode 0600 with this content, whatever was there before. */
static inline void fuzz_write(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    REQUIRE(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static inline void fuzz_write_part(const char *path, struct input part)
{
    fuzz_write(path, part.bytes, part.size);
}

static inline void fuzz_write_text(const char *path, const char *text)
{
    fuzz_write(path, text, strlen(text));
}

#endif
