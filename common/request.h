/* The request: the 64 bytes that a client signs. portsmith-protocol(7). */
#ifndef PORTSMITH_REQUEST_H
#define PORTSMITH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "service.h"

enum {
    REQUEST_SIZE = 64,
    REQUEST_SERVICES = 4, /* how many services one knock can name */
};

enum action { ACTION_OPEN = 1, ACTION_CLOSE = 2 };

struct request {
    enum action action;
    bool has_address;       /* the client names the address itself */
    struct address address; /* all zero unless has_address */
    uint8_t service_count;  /* 0 to 4; 0 means all that the profile permits */
    struct service services[REQUEST_SERVICES]; /* strictly ascending */
    uint32_t window;        /* seconds; 0 means the profile's own */
    uint64_t counter;       /* microseconds since the epoch, client's clock */
};

/* Writes the one valid encoding of `r`, which must itself be valid: services
 * ascending, address grantable, window 0 when the action is to close. */
void request_encode(uint8_t bytes[static REQUEST_SIZE], const struct request *r);

/* False unless `bytes` is the one valid encoding of some request: every
 * reserved bit zero, every value in range, services strictly ascending, an
 * address exactly when flagged and grantable, no window on a close. */
bool request_decode(struct request *r, const uint8_t bytes[static REQUEST_SIZE]);

/* Sorts `count` services into wire order and drops repeats; the new count. */
uint8_t request_order_services(struct service *services, uint8_t count);

#endif
