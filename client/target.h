/* A target: an address that a knock goes to. */
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
    TARGETS_MAX = 16,              /* how many addresses of one name are knocked at */
    TARGET_TEXT_SIZE = NI_MAXHOST, /* bytes, the zero included */
};

struct target {
    struct sockaddr_storage to; /* with the knock port, until target_set_port sets another */
    socklen_t size;             /* of `to` */
    bool may_sign; /* false: it stands for an IPv4 host behind a NAT64, which sees another
                      address than a knock to it leaves from */
};

/* Stores the addresses of `host`, which is a name or an address, each once and in the resolver's
 * order. `port` is in host order, and `family` is AF_UNSPEC, AF_INET or AF_INET6. Addresses that no
 * server can have (target_is_possible) are left out, and so are those beyond TARGETS_MAX. With
 * `signs`, finds out which targets may_sign. Where an address looks as one behind a NAT64 would,
 * that takes one look-up more, or with AF_INET6 two. Returns how many targets there are, at least
 * 1, or 0 with the reason. */
unsigned target_resolve(struct target targets[static TARGETS_MAX], const char *host,
                        uint16_t port, int family, bool signs, struct error *why);

/* Whether a server that is knocked at can have the address: whether that is unicast, and not
 * link-local. False with the reason, which calls the address `text`. */
bool target_is_possible(const struct address *a, const char *text, struct error *why);

/* Sets the port of the target, in host order. */
void target_set_port(struct target *target, uint16_t port);

/* The port of the target, in host order. */
uint16_t target_port(const struct target *target);

/* Makes a UDP socket that is connected to the target, and stores the local address that its packets
 * leave from. Returns the socket, which the caller closes, or -1 with the reason, such as that
 * there is no route. */
int target_connect(const struct target *target, struct address *source, struct error *why);

/* Writes the target's address, with the scope of a link-local one. Returns `text`. */
const char *target_format(const struct target *target, char text[static TARGET_TEXT_SIZE]);

#endif
