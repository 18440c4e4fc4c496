/* The service, which a knock asks for and a rule opens: a protocol and a port, such as "tcp/22".
 * What reads and writes text is in servicetext.c: the helper does without. */
#ifndef PORTSMITH_SERVICE_H
#define PORTSMITH_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { SERVICE_TEXT_SIZE = 10 }; /* bytes: "tcp/65535", the zero included */

struct service {
    uint8_t protocol; /* IPPROTO_TCP (6) or IPPROTO_UDP (17), nothing else */
    uint16_t port;    /* host byte order, 1 to 65535 */
};

/*@ predicate service_precedes(struct service *a, struct service *b) =
        a->protocol < b->protocol || (a->protocol == b->protocol && a->port < b->port); */

/* The service's protocol, "tcp" or "udp". */
const char *service_protocol(const struct service *s);

/* Less than 0, 0 or more than 0: `a` comes before `b`, is `b`, or comes after it in the order
 * of the wire, which is by protocol, then by port. */
/*@ requires \valid_read(a) && \valid_read(b);
    assigns \nothing;
    ensures \result < 0 <==> service_precedes(a, b); */
int service_compare(const struct service *a, const struct service *b);

/* ---- servicetext.c ------------------------------------------------------ */

/* Reads a service such as "tcp/22" or "udp/53", in lower case, with the port in plain decimal.
 * False with the reason. */
bool service_parse(struct service *s, const char *text, struct error *why);

/* Writes the service. Returns `text`. */
const char *service_format(const struct service *s, char text[static SERVICE_TEXT_SIZE]);

/* Writes `count` services with blanks between them into `text`, which has `size` bytes, at least 1.
 * `count` * SERVICE_TEXT_SIZE bytes hold all of them. Text that has no room is left out. Returns
 * `text`. */
const char *services_format(const struct service *services, size_t count, char *text, size_t size);

/* Reads a port in plain decimal, 1 to 65535, and stores it in host order. False with the reason. */
bool port_parse(uint16_t *port, const char *text, struct error *why);

#endif
