#include "privsep/granttable.h"

#include <stdatomic.h>

size_t granttable_size(size_t capacity)
{
    return sizeof(struct granttable) + capacity * sizeof(struct grant);
}

void grant_seal(struct grant *grant)
{
    seal_make(grant->seal, grant, offsetof(struct grant, seal));
    atomic_thread_fence(memory_order_seq_cst); /* before anything else is changed */
}
