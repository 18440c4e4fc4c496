/* How a knock travels. portsmith-protocol(7). */
#ifndef PORTSMITH_TRANSPORT_H
#define PORTSMITH_TRANSPORT_H

#include <stdbool.h>

#include "common/error.h"

enum transport {
    TRANSPORT_UDP = 0, /* unless something else is said */
    TRANSPORT_TCP_SYN, /* the data of a TCP SYN */
    TRANSPORT_ICMP,    /* the data of an ICMP or ICMPv6 echo request */
    TRANSPORTS,
};

/* "udp", "tcp-syn" or "icmp". False with what was expected. */
bool transport_parse(enum transport *transport, const char *word, struct error *why);
const char *transport_name(enum transport transport);

#endif
