#include "counters.h"

#include <inttypes.h>
#include <stddef.h>
#include <sys/mman.h>

#include "log.h"

struct counters *counters_create(void)
{
    void *page = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

void counters_log(const struct counters *counters)
{
    struct counters c = *counters;

    log_info("seen %" PRIu64 ": garbage %" PRIu64 ", authentic %" PRIu64 " (malformed %" PRIu64
             ", untimely %" PRIu64 ", repeated %" PRIu64 ", throttled %" PRIu64 ", unsent %" PRIu64
             ", passed on %" PRIu64 "); done %" PRIu64 ", refused %" PRIu64
             "; dropped by the kernel %" PRIu64,
             c.captured, c.garbage, c.authentic, c.malformed, c.untimely, c.repeated, c.throttled,
             c.unsent, c.passed, c.granted, c.refused, c.dropped);
}
