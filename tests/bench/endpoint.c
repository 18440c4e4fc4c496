#include "tests/bench/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

bool endpoint_read(union endpoint *e, const char *text)
{
    memset(e, 0, sizeof *e);
    if (inet_pton(AF_INET, text, &e->ipv4.sin_addr) == 1)
        e->any.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &e->ipv6.sin6_addr) == 1)
        e->any.sa_family = AF_INET6;
    return e->any.sa_family != AF_UNSPEC;
}

union endpoint endpoint_at(union endpoint e, uint16_t port)
{
    if (e.any.sa_family == AF_INET)
        e.ipv4.sin_port = htons(port);
    else
        e.ipv6.sin6_port = htons(port);
    return e;
}

socklen_t endpoint_size(const union endpoint *e)
{
    return e->any.sa_family == AF_INET ? sizeof e->ipv4 : sizeof e->ipv6;
}
