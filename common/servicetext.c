/* Services and ports as text. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/service.h"

bool port_parse(uint16_t *port, const char *text, struct error *why)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value;

    if (digits == 0 || digits > 5 || text[digits] != '\0' || text[0] == '0')
        return error_set(why, "'%s' is not a port number (1 to 65535)", text);
    value = strtoul(text, NULL, 10);
    if (value > UINT16_MAX)
        return error_set(why, "'%s' is not a port number (1 to 65535)", text);
    *port = (uint16_t)value;
    return true;
}

bool service_parse(struct service *s, const char *text, struct error *why)
{
    if (strncmp(text, "tcp/", 4) == 0)
        s->protocol = IPPROTO_TCP;
    else if (strncmp(text, "udp/", 4) == 0)
        s->protocol = IPPROTO_UDP;
    else
        return error_set(why, "'%s' is not a service such as tcp/22 or udp/53", text);
    return port_parse(&s->port, text + 4, why);
}

const char *service_format(const struct service *s, char text[static SERVICE_TEXT_SIZE])
{
    snprintf(text, SERVICE_TEXT_SIZE, "%s/%u", service_protocol(s), s->port);
    return text;
}

const char *services_format(const struct service *services, size_t count, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++) {
        char service[SERVICE_TEXT_SIZE];

        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? " " : "",
                                 service_format(&services[i], service));
    }
    return text;
}
