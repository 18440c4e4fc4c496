/* The pool: small pieces of memory that are kept together and freed together. Many of them take
 * little more memory than what they hold. */
#ifndef PORTSMITH_POOL_H
#define PORTSMITH_POOL_H

#include <stddef.h>

enum { POOL_PIECE_MAX = 1024, POOL_ALIGNMENT = 8 }; /* bytes */

struct pool {
    struct pool_block *newest; /* owned; NULL: there is no block yet */
    size_t used;               /* bytes of the newest block that are in use */
};

/* Copies `size` bytes, POOL_PIECE_MAX at most, into the pool, which is all zero at first. The copy
 * begins at a multiple of POOL_ALIGNMENT, and is valid until pool_free. NULL if there is no
 * memory. */
void *pool_copy(struct pool *pool, const void *from, size_t size);

/* Frees all copies. The pool is empty then, and can be used again. */
void pool_free(struct pool *pool);

#endif
