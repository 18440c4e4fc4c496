/* Small pieces of memory of any size that are kept together and freed together: many of
 * them take little more than what they hold. */
#ifndef PORTSMITH_POOL_H
#define PORTSMITH_POOL_H

#include <stddef.h>

enum { POOL_PIECE_MAX = 1024, POOL_ALIGNMENT = 8 }; /* bytes */

struct pool {
    struct pool_block *newest; /* NULL: there is none yet */
    size_t used;               /* bytes of it */
};

/* A copy of `size` bytes, POOL_PIECE_MAX at most, that lives as long as the pool does and
 * lies at a multiple of POOL_ALIGNMENT. NULL without memory. Before the first the pool is
 * all zeros. */
void *pool_copy(struct pool *pool, const void *from, size_t size);

/* Frees every copy; the pool is empty then. */
void pool_free(struct pool *pool);

#endif
