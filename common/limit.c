#include "common/limit.h"

#include "common/clock.h"

bool log_limit_admits(struct log_limit *limit, uint32_t most, uint32_t seconds, int64_t now)
{
    if (now >= limit->until)
        *limit = (struct log_limit){.until = now + (int64_t)seconds * NSEC_PER_SEC};
    if (limit->written == most) {
        limit->left_out++;
        return false;
    }
    limit->written++;
    return true;
}

uint32_t log_limit_take(struct log_limit *limit, int64_t now)
{
    uint32_t left_out = limit->left_out;

    if (now < limit->until)
        return 0;
    *limit = (struct log_limit){0};
    return left_out;
}
