/* What the programs use of glibc, and musl does not have. */
#ifndef PORTSMITH_LIBC_H
#define PORTSMITH_LIBC_H

#include <malloc.h>
#include <unistd.h>

#ifndef __GLIBC__
#include <stddef.h>
#include <sys/syscall.h>

static inline int close_range(unsigned first, unsigned last, int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

/* Its free(3) gives the kernel back what it can. */
static inline int malloc_trim(size_t pad)
{
    (void)pad;
    return 0;
}
#endif

#endif
