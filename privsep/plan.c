#include "privsep/plan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/log.h"

const char plan_magic[8] = "PSPLAN1";

/* What write-sealed memory is mapped as: before Linux 6.7 not even to be read and shared. */
const struct plan *plan_map(int fd, struct error *why)
{
    const struct plan *plan = MAP_FAILED;
    struct stat s;

    if ((fcntl(fd, F_GET_SEALS) & PLAN_SEALS) == PLAN_SEALS && fstat(fd, &s) == 0 &&
        (size_t)s.st_size >= sizeof *plan)
        plan = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (plan != MAP_FAILED && memcmp(plan->magic, plan_magic, sizeof plan->magic) == 0 &&
        plan->size == s.st_size)
        return plan;
    error_set(why, "the plan is not sealed, or was not made by this build");
    return NULL;
}

const void *plan_part(const struct plan *plan, const struct part *part, size_t each, size_t *count)
{
    if (part->at > plan->size || part->size > plan->size - part->at)
        fatalx("the plan is damaged");
    if (count)
        *count = part->size / each;
    return (const uint8_t *)plan + part->at;
}
