/* What a knock asks for and a rule opens: a protocol and a port, "tcp/22". */
#ifndef PORTSMITH_SERVICE_H
#define PORTSMITH_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { SERVICE_TEXT_SIZE = 10 }; /* "tcp/65535", the zero included */

struct service {
    uint8_t protocol; /* IPPROTO_TCP (6) or IPPROTO_UDP (17), nothing else */
    uint16_t port;    /* host byte order, 1 to 65535 */
};

/*@ predicate service_precedes(struct service *a, struct service *b) =
        a->protocol < b->protocol || (a->protocol == b->protocol && a->port < b->port); */

/* "tcp/22" or "udp/53", in lower case, the port in plain decimal. */
bool service_parse(struct service *s, const char *text, struct error *why);
const char *service_format(const struct service *s, char text[static SERVICE_TEXT_SIZE]);

/* The same of several, with blanks between: `count` * SERVICE_TEXT_SIZE bytes hold them, or
 * one for none. What has no room is left out. */
const char *services_format(const struct service *services, size_t count, char *text, size_t size);

/* "tcp" or "udp". */
const char *service_protocol(const struct service *s);

/* Below, equal to or above 0 as `a` comes before, is, or comes after `b` in
 * the order of the wire format: by protocol, then by port. */
/*@ requires \valid_read(a) && \valid_read(b);
    assigns \nothing;
    ensures \result < 0 <==> service_precedes(a, b); */
int service_compare(const struct service *a, const struct service *b);

/* A port number in plain decimal, 1 to 65535. */
bool port_parse(uint16_t *port, const char *text, struct error *why);

#endif
