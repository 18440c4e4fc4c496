/* The file of grants in the current directory, as another process reads it. */
#ifndef PORTSMITH_STORED_H
#define PORTSMITH_STORED_H

#include "check.h"

#include "privsep/grantfile.h"
#include "privsep/granttable.h"

/* Copies up to `room` grants in the order of their records; how many there are, none
 * without a file. */
static inline size_t stored_grants(struct grant *found, size_t room)
{
    struct granttable_view view;
    struct error unused;
    struct grant grant;
    size_t count = 0;

    if (!granttable_open(&view, AT_FDCWD, &unused))
        return 0;
    for (size_t i = 0; i < view.capacity; i++)
        if (granttable_read(&view, i, &grant) && count++ < room)
            found[count - 1] = grant;
    granttable_close(&view);
    return count;
}

#endif
