/* The request: the 64 bytes that a client signs. portsmith-protocol(7) describes them. */
#ifndef PORTSMITH_REQUEST_H
#define PORTSMITH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/service.h"

enum {
    REQUEST_SIZE = 64,    /* bytes */
    REQUEST_SERVICES = 4, /* how many services one knock can name */
    MEMBER_SIZE = 16,     /* bytes of the id of a group's member */
};

enum action { ACTION_OPEN = 1, ACTION_CLOSE = 2 };

struct request {
    enum action action;
    bool has_address;       /* the client names the address itself */
    struct address address; /* all zero unless has_address */
    uint8_t member[MEMBER_SIZE]; /* the one host of a group that may honour it; zeros: it names
                                    none, as with has_address */
    uint8_t service_count;  /* 0 to 4; 0 means all that the profile permits */
    struct service services[REQUEST_SERVICES]; /* strictly ascending */
    uint32_t window;        /* seconds; 0 means the profile's own */
    uint64_t counter;       /* microseconds since the epoch, client's clock */
};

/*@ predicate services_ascend(struct service *s, integer count) =
        \forall integer i; 0 < i < count ==> service_precedes(s + i - 1, s + i);
    predicate services_exist(struct service *s, integer count) =
        \forall integer i; 0 <= i < count ==>
            (s[i].protocol == 6 || s[i].protocol == 17) && s[i].port != 0;
    predicate request_is_valid(struct request *r) =
        (r->action == ACTION_OPEN || (r->action == ACTION_CLOSE && r->window == 0)) &&
        r->service_count <= REQUEST_SERVICES &&
        services_exist(&r->services[0], r->service_count) &&
        services_ascend(&r->services[0], r->service_count); */

/* Whether the request names a member of a group. */
/*@ requires \valid_read(r);
    assigns \nothing; */
bool request_names_member(const struct request *r);

/* Writes the one valid encoding of `r`. `r` must be valid: its services ascend, its address is
 * grantable, it names no member beside an address, and its window is 0 if the action is to close. */
/*@ requires \valid(bytes + (0 .. REQUEST_SIZE - 1));
    requires \valid_read(r) && r->service_count <= REQUEST_SERVICES;
    requires \separated(bytes + (0 .. REQUEST_SIZE - 1), r);
    assigns bytes[0 .. REQUEST_SIZE - 1]; */
void request_encode(uint8_t bytes[static REQUEST_SIZE], const struct request *r);

/* Reads a request. False unless `bytes` is the one valid encoding of a request: each reserved
 * bit is zero, each value is in range, the services ascend strictly, there is an address
 * exactly if the flag says so, another host can have it, a member exactly if the other flag says
 * so, not both of them, and a close has no window. */
/*@ requires \valid_read(bytes + (0 .. REQUEST_SIZE - 1));
    requires \valid(r) && \separated(bytes + (0 .. REQUEST_SIZE - 1), r);
    assigns *r;
    ensures \result ==> request_is_valid(r); */
bool request_decode(struct request *r, const uint8_t bytes[static REQUEST_SIZE]);

/* Sorts `count` services into the order of the wire and drops repeats. Returns the new count. */
/*@ requires \valid(services + (0 .. count - 1));
    assigns services[0 .. count - 1];
    ensures \result <= count; */
uint8_t request_order_services(struct service *services, uint8_t count);

#endif
