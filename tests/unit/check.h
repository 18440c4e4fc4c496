/* What every unit test needs: cmocka, and a directory of its own for files. */
#ifndef PORTSMITH_CHECK_H
#define PORTSMITH_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* As assert_true and assert_int_equal, of what can say why it is not so. */
#define assert_done(call, why)                                                                     \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, (why).text);                                                 \
    } while (0)
#define assert_result(call, expected, why)                                                         \
    do {                                                                                           \
        int result_;                                                                               \
                                                                                                   \
        (why).text[0] = '\0';                                                                      \
        result_ = (int)(call);                                                                     \
        if (result_ != (int)(expected))                                                            \
            fail_msg("%s is %d, not %s: %s", #call, result_, #expected, (why).text);               \
    } while (0)

/* Ends a child of a test at once, as _exit does; what a build for coverage has
 * counted in it is kept. */
#ifdef PORTSMITH_COVERAGE
void __gcov_dump(void);
#endif
static inline _Noreturn void child_exit(int status)
{
#ifdef PORTSMITH_COVERAGE
    __gcov_dump();
#endif
    _exit(status);
}

/* Makes a new directory the current one; *state is its path. */
static inline int scratch_enter(void **state)
{
    char *path = strdup("/tmp/portsmith-unit.XXXXXX");

    if (!path || !mkdtemp(path) || chdir(path) != 0)
        return -1;
    umask(022);
    *state = path;
    return 0;
}

static inline int scratch_remove_one(const char *path, const struct stat *s, int type,
                                     struct FTW *where)
{
    (void)s, (void)type, (void)where;
    return remove(path);
}

static inline int scratch_leave(void **state)
{
    int failed = chdir("/") != 0 ||
                 nftw(*state, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0;

    free(*state);
    return failed ? -1 : 0;
}

/* A file with this content and mode, whatever was there before. */
static inline void scratch_write(const char *path, mode_t mode, const void *content, size_t size)
{
    int fd;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, size), size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static inline void scratch_write_text(const char *path, mode_t mode, const char *text)
{
    scratch_write(path, mode, text, strlen(text));
}

#endif
