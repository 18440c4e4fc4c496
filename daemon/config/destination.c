#include "daemon/config/destination.h"

#include <stdio.h>
#include <string.h>

static bool refuse(const char *text, struct error *why)
{
    return error_set(why, "'%s' is not a destination such as 192.168.1.10:22 or [fd00::10]:22",
                     text);
}

bool destination_parse(struct helper_destination *d, const char *text, struct error *why)
{
    const char *colon = strrchr(text, ':');
    char address[DESTINATION_TEXT_SIZE];
    bool bracketed = text[0] == '[';
    size_t size;

    if (!colon || colon == text || (size_t)(colon - text) >= sizeof address)
        return refuse(text, why);
    size = (size_t)(colon - text);
    memcpy(address, text, size);
    address[size] = '\0';
    if (bracketed) {
        if (size < 3 || address[size - 1] != ']')
            return refuse(text, why);
        address[size - 1] = '\0';
    }
    if (!address_parse(&d->address, address + bracketed) ||
        bracketed == address_is_ipv4(&d->address))
        return refuse(text, why);
    if (!address_is_grantable(&d->address))
        return error_set(why, "'%s': no host can be reached at this address", text);
    return port_parse(&d->port, colon + 1, why);
}

const char *destination_format(const struct helper_destination *d,
                               char text[static DESTINATION_TEXT_SIZE])
{
    char address[ADDRESS_TEXT_SIZE];

    snprintf(text, DESTINATION_TEXT_SIZE, address_is_ipv4(&d->address) ? "%s:%u" : "[%s]:%u",
             address_format(&d->address, address), d->port);
    return text;
}
