#include "common/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 4096 - 64 }; /* bytes of a block: with what malloc adds, it fits into a page */

struct pool_block {
    struct pool_block *older;
    _Alignas(POOL_ALIGNMENT) uint8_t bytes[ROOM];
};

_Static_assert((int)POOL_PIECE_MAX <= (int)ROOM, "any piece fits into a block");
_Static_assert((int)ROOM % (int)POOL_ALIGNMENT == 0, "a block is never more than full");

static bool add_block(struct pool *pool)
{
    struct pool_block *block = malloc(sizeof *block);

    if (!block)
        return false;
    block->older = pool->newest;
    pool->newest = block;
    pool->used = 0;
    return true;
}

void *pool_copy(struct pool *pool, const void *from, size_t size)
{
    void *copy;

    if ((!pool->newest || size > ROOM - pool->used) && !add_block(pool))
        return NULL;
    copy = pool->newest->bytes + pool->used;
    if (size > 0)
        memcpy(copy, from, size);
    pool->used += (size + POOL_ALIGNMENT - 1) / POOL_ALIGNMENT * POOL_ALIGNMENT;
    return copy;
}

void pool_free(struct pool *pool)
{
    while (pool->newest) {
        struct pool_block *older = pool->newest->older;

        free(pool->newest);
        pool->newest = older;
    }
    pool->used = 0;
}
