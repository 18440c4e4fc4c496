#include "privsep/message.h"

size_t helper_profile_size(const struct helper_profile *p)
{
    if (p->destination_count > 0)
        return offsetof(struct helper_profile, destinations) +
               p->destination_count * sizeof *p->destinations;
    if (p->hours_count > 0)
        return offsetof(struct helper_profile, hours) + p->hours_count * sizeof *p->hours;
    if (p->prefix_count > 0)
        return offsetof(struct helper_profile, prefixes) + p->prefix_count * sizeof *p->prefixes;
    return offsetof(struct helper_profile, services) + p->service_count * sizeof *p->services;
}
