#include "common/text/transport.h"

#include <string.h>

static const char *const names[TRANSPORTS] = {
    [TRANSPORT_UDP] = "udp", [TRANSPORT_TCP_SYN] = "tcp-syn", [TRANSPORT_ICMP] = "icmp"};

bool transport_parse(enum transport *transport, const char *word, struct error *why)
{
    for (unsigned i = 0; i < TRANSPORTS; i++) {
        if (strcmp(word, names[i]) == 0) {
            *transport = (enum transport)i;
            return true;
        }
    }
    return error_set(why, "expected udp, tcp-syn or icmp, not '%s'", word);
}

const char *transport_name(enum transport transport)
{
    return names[transport];
}
