#include "daemon/sniffer/counters.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/linux/memfile.h"

enum { OWN_MAX = sizeof((struct own_addresses *)NULL)->all / sizeof(struct address) };

struct counters_memory *counters_create(int *file)
{
    void *page;

    *file = memfile_create("portsmith-counters");
    if (*file < 0 || ftruncate(*file, sizeof(struct counters_memory)) != 0 ||
        fcntl(*file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return NULL;
    page = mmap(NULL, sizeof(struct counters_memory), PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
    return page == MAP_FAILED ? NULL : page;
}

void counters_find_own(struct own_addresses *own)
{
    uint32_t count = 0;
    struct ifaddrs *all;

    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *one = all; one && count < OWN_MAX; one = one->ifa_next)
        if (one->ifa_addr && address_from_sockaddr(&own->all[count], one->ifa_addr))
            count++;
    freeifaddrs(all);
    own->count = count;
}

bool counters_is_own(const struct own_addresses *own, const struct address *to)
{
    const uint32_t count = own->count;

    if (count == 0 || count >= OWN_MAX || !address_is_unicast(to))
        return true;
    for (uint32_t i = 0; i < count; i++)
        if (address_equal(&own->all[i], to))
            return true;
    return false;
}

void counters_log(const struct counters *counters)
{
    struct counters c = *counters;

    log_info("seen %" PRIu64 ": garbage %" PRIu64 ", authentic %" PRIu64 " (merged %" PRIu64
             ", malformed %" PRIu64 ", untimely %" PRIu64 ", repeated %" PRIu64
             ", throttled %" PRIu64 ", unsent %" PRIu64 ", passed on %" PRIu64
             ", for another address %" PRIu64 "); done %" PRIu64 ", refused %" PRIu64
             "; dropped by the kernel %" PRIu64,
             c.captured, c.garbage, c.authentic, c.merged, c.malformed, c.untimely, c.repeated,
             c.throttled, c.unsent, c.passed, c.elsewhere, c.granted, c.refused, c.dropped);
}
