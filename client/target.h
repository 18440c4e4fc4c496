/* The addresses that a knock goes to, and the way there. */
#ifndef PORTSMITH_TARGET_H
#define PORTSMITH_TARGET_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/address.h"
#include "common/error.h"

enum {
    TARGETS_MAX = 16, /* addresses of one name that are knocked */
    TARGET_TEXT_SIZE = NI_MAXHOST,
};

struct target {
    struct sockaddr_storage to; /* the port included: the knock port, unless it was set anew */
    socklen_t size;
    bool may_sign; /* false: it stands for an IPv4 host behind a NAT64, which sees another
                      address than a knock to it leaves from */
};

/* The addresses of `host`, a name or an address, without repeats, in the
 * resolver's order; `family` is AF_UNSPEC, AF_INET or AF_INET6. Those that are not
 * possible are left out. With `signs`, finds out which of them may_sign: where one is
 * as an address behind a NAT64 would be, that takes one look-up more, or with AF_INET6
 * two. Returns how many, at least 1, or 0 with the reason. Of more than TARGETS_MAX the
 * rest is left out. */
unsigned target_resolve(struct target targets[static TARGETS_MAX], const char *host,
                        uint16_t port, int family, bool signs, struct error *why);

/* Whether a server that is knocked at can have the address, which `text` names: unicast,
 * and not link-local; or the reason. */
bool target_is_possible(const struct address *a, const char *text, struct error *why);

/* Makes it the same address with another port, in host order. */
void target_set_port(struct target *target, uint16_t port);
uint16_t target_port(const struct target *target);

/* A UDP socket connected to the target, and the local address that its packets
 * will come from. The caller closes it. -1 with the reason, such as no route. */
int target_connect(const struct target *target, struct address *source, struct error *why);

/* The address as text, the scope of a link-local one included. Returns `text`. */
const char *target_format(const struct target *target, char text[static TARGET_TEXT_SIZE]);

#endif
