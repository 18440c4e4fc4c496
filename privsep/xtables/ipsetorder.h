/* Orders about sets (ipset.h), as they go to the kernel. */
#ifndef PORTSMITH_IPSETORDER_H
#define PORTSMITH_IPSETORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "privsep/xtables/ipset.h"

struct ipset_order {
    uint8_t bytes[IPSET_ORDER_MAX];
    size_t size;
};

/* Makes a set of one family with room for `capacity` elements, which must not be there. Removes a
 * set, which no rule may refer to. Has two sets change their names. */
void ipset_order_create(struct ipset_order *order, const char *name, enum family family,
                        size_t capacity);
void ipset_order_destroy(struct ipset_order *order, const char *name);
void ipset_order_swap(struct ipset_order *order, const char *name, const char *other);

/* Puts an element into a set, or takes it out: which one, ipset_put fills in. */
void ipset_order_put(struct ipset_order *order, const char *name, enum family family);
void ipset_order_take_out(struct ipset_order *order, const char *name, enum family family);

#endif
