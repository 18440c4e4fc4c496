#include "privsep/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

const struct plan *plan_map(int fd, struct error *why)
{
    const struct plan *plan;
    struct stat s;

    if (fcntl(fd, F_GET_SEALS) != PLAN_SEALS || fstat(fd, &s) != 0 ||
        s.st_size < (off_t)sizeof *plan) {
        error_set(why, "the plan is not sealed");
        return NULL;
    }
    plan = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (plan == MAP_FAILED) {
        error_set(why, "cannot map the plan: %s", strerror(errno));
        return NULL;
    }
    return plan;
}

const void *plan_part(const struct plan *plan, const struct part *part, size_t each, size_t *count)
{
    if (count)
        *count = part->size / each;
    return (const char *)plan + part->at;
}

