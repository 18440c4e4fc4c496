#include "client/target.h"

#include <netinet/in.h>
#include <string.h>

bool target_is_possible(const struct address *a, const char *text, struct error *why)
{
    if (!address_is_unicast(a))
        return error_set(why, "%.100s is no address that a server can have; if you did not give "
                              "it, a SOCKS wrapper such as proxychains, or a resolver that blocks "
                              "names, invented it: knock without them", text);
    return !address_is_link_local(a) ||
           error_set(why, "%.100s is link-local, and no server opens a port to such addresses: "
                          "name the server by another address that it has", text);
}

void target_set_port(struct target *target, uint16_t port)
{
    if (target->to.ss_family == AF_INET)
        ((struct sockaddr_in *)&target->to)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&target->to)->sin6_port = htons(port);
}

uint16_t target_port(const struct target *target)
{
    return ntohs(target->to.ss_family == AF_INET
                     ? ((const struct sockaddr_in *)&target->to)->sin_port
                     : ((const struct sockaddr_in6 *)&target->to)->sin6_port);
}

const char *target_format(const struct target *target, char text[static TARGET_TEXT_SIZE])
{
    if (getnameinfo((const struct sockaddr *)&target->to, target->size, text, TARGET_TEXT_SIZE,
                    NULL, 0, NI_NUMERICHOST) != 0)
        strcpy(text, "?");
    return text;
}
