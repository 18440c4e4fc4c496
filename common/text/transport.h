/* The transport: how a knock travels. portsmith-protocol(7) describes it. */
#ifndef PORTSMITH_TRANSPORT_H
#define PORTSMITH_TRANSPORT_H

#include <stdbool.h>

#include "common/error.h"

enum transport {
    TRANSPORT_UDP = 0, /* as a UDP datagram, which is the default */
    TRANSPORT_TCP_SYN, /* as the data of a TCP SYN */
    TRANSPORT_ICMP,    /* as the data of an ICMP or ICMPv6 echo request */
    TRANSPORTS,        /* their number */
};

/* Reads a transport: "udp", "tcp-syn" or "icmp". False with what was expected. */
bool transport_parse(enum transport *transport, const char *word, struct error *why);

/* The name of a transport, as transport_parse reads it. */
const char *transport_name(enum transport transport);

#endif
