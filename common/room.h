/* Arrays that grow by one element after another. */
#ifndef PORTSMITH_ROOM_H
#define PORTSMITH_ROOM_H

#include <stddef.h>
#include <stdlib.h>

/* Has room for one more element of `size` bytes behind the `count` of `all`, which has *room and is
 * NULL at first. Returns the array, in a new place perhaps, which the caller frees; NULL if there is
 * no memory, and then the array is as before, and errno is set. */
static inline void *room_for_one(void *all, size_t count, size_t *room, size_t size)
{
    const size_t more = *room > 0 ? 2 * *room : 16;

    if (count < *room)
        return all;
    all = reallocarray(all, more, size);
    if (all)
        *room = more;
    return all;
}

#endif
