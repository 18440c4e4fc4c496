#include "common/service.h"

#include <netinet/in.h>

const char *service_protocol(const struct service *s)
{
    return s->protocol == IPPROTO_TCP ? "tcp" : "udp";
}

int service_compare(const struct service *a, const struct service *b)
{
    if (a->protocol != b->protocol)
        return a->protocol < b->protocol ? -1 : 1;
    return (a->port > b->port) - (a->port < b->port);
}
