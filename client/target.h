/* A target: an address that a knock goes to. */
#ifndef PORTSMITH_TARGET_H
#define PORTSMITH_TARGET_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/address.h"
#include "common/error.h"
#include "common/request.h"

enum {
    TARGETS_MAX = 16,              /* how many addresses of one name are knocked at */
    TARGET_TEXT_SIZE = NI_MAXHOST, /* bytes, the zero included */
};

struct target {
    struct sockaddr_storage to; /* with the knock port, until target_set_port sets another */
    socklen_t size;             /* of `to` */
    uint8_t member[MEMBER_SIZE]; /* the id of the member of a group that it is of; zeros: of none */
    bool may_sign; /* false: it stands for an IPv4 host behind a NAT64, which sees another
                      address than a knock to it leaves from */
};

/* Whether a server that is knocked at can have the address: whether that is unicast, and not
 * link-local. False with the reason, which calls the address `text`. */
bool target_is_possible(const struct address *a, const char *text, struct error *why);

/* Sets the port of the target, in host order. */
void target_set_port(struct target *target, uint16_t port);

/* The port of the target, in host order. */
uint16_t target_port(const struct target *target);

/* Writes the target's address, with the scope of a link-local one. Returns `text`. */
const char *target_format(const struct target *target, char text[static TARGET_TEXT_SIZE]);

#endif
