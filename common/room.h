/* Arrays that grow by one element after another. */
#ifndef PORTSMITH_ROOM_H
#define PORTSMITH_ROOM_H

#include <stddef.h>
#include <stdlib.h>

/* Has room for one more element of `size` bytes behind the `count` of `all`, all of which came here
 * one by one; it is NULL at first. The room doubles whenever it is used up, so it follows from the
 * count. Returns the array, in a new place perhaps, which the caller frees; NULL if there is no
 * memory, and then the array is as before, and errno is set. */
static inline void *room_for_one(void *all, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return all;
    return reallocarray(all, count > 0 ? 2 * count : 1, size);
}

#endif
