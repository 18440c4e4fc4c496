/* The file of grants as all but the helper use it: prepare makes it, and it is read by whoever does
 * not change it. */
#ifndef PORTSMITH_GRANTFILE_H
#define PORTSMITH_GRANTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "privsep/granttable.h"

/* Writes the head of a new file, whose other bytes are zero. False with errno set when
 * the kernel does not tell its boot id. */
bool granttable_begin(struct granttable *table, size_t capacity);

/* A file that somebody else may be changing, or cutting: each record is read by itself, never
 * mapped. */
struct granttable_view {
    int file;
    size_t capacity;
    uint32_t last_id, last_id_before, begun; /* when it was opened */
};

/* Opens the file of the directory `directory`, to read it. False with the reason when there is no
 * file, or when it was not made by this build in this boot of the host, or has room for more
 * grants than there can be. */
bool granttable_open(struct granttable_view *view, int directory, struct error *why);

/* Has *view read the file `fd`, which is such a file, and which view then owns. False with the
 * reason: the caller still owns it. */
bool granttable_view(struct granttable_view *view, int fd, struct error *why);

/* Copies the record `i`, which is below `capacity`, into *grant. Where a batch has touched the
 * record, but the firewall does not have it yet, *grant is as it was before that batch. False
 * when the record holds no grant. */
bool granttable_read(const struct granttable_view *view, size_t i, struct grant *grant);

/* The same, but where a batch has touched the record, *grant is as it will be if the firewall takes
 * it. So all grants are met whose id is `last_id` or below. */
bool granttable_read_pending(const struct granttable_view *view, size_t i, struct grant *grant);

/* Returns the last id of all grants, as it is now; where the file is cut, as it was. */
uint32_t granttable_last_id(const struct granttable_view *view);

/* Copies the process ids of the programs that last changed the firewall; all 0 where the file is
 * cut. */
void granttable_restores(const struct granttable_view *view,
                         uint32_t restores[static GRANTTABLE_RESTORES]);

void granttable_close(const struct granttable_view *view);

#endif
