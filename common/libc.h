/* What the programs use of glibc, and musl does not have. */
#ifndef PORTSMITH_LIBC_H
#define PORTSMITH_LIBC_H

#include <malloc.h>
#include <unistd.h>

#ifndef __GLIBC__
#include <linux/close_range.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/syscall.h>

static inline int close_range(unsigned first, unsigned last, int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

/* What is open from `first` on is closed in whatever is executed, if the actions do not hand it
 * on. */
static inline int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions,
                                                           int first)
{
    (void)actions;
    return close_range((unsigned)first, ~0U, CLOSE_RANGE_CLOEXEC);
}

/* Its free(3) gives the kernel back what it can. */
static inline int malloc_trim(size_t pad)
{
    (void)pad;
    return 0;
}
#endif

#endif
