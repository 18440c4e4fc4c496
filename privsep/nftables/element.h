/* Elements of the sets of nftables/table.h: messages that put them in and take them out. Where an
 * element is there already, to add it renews nothing but its timeout, if that. So it is taken out
 * before, in the same batch, and no packet meets the set without it. */
#ifndef PORTSMITH_ELEMENT_H
#define PORTSMITH_ELEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"
#include "common/envelope.h"
#include "common/service.h"
#include "privsep/netwriter.h"
#include "privsep/nftables/table.h"

enum {
    /* Of a timeout, in milliseconds. A kernel counts in ticks of up to 10 ms. Of less than one,
     * some make no timeout at all, and the element would stay for ever. */
    ELEMENT_TIMEOUT_MIN = 20,
    ELEMENT_PACKETS_MAX = 3000, /* a limit of some thousand more is too long for the kernel's
                                   clock */
};

struct element {
    enum table_set set;
    struct address address; /* this, which tells the family, and the service are the key */
    struct service service;
    uint64_t timeout;     /* milliseconds, ELEMENT_TIMEOUT_MIN at least */
    uint32_t packets;     /* that it admits, ELEMENT_PACKETS_MAX at most; 0: any number */
    bool is_spent;        /* it is there, but admits none; `packets` is not 0 */
    struct address destination; /* in TABLE_SENDING, of the family of `address` */
    uint16_t destination_port;  /* host byte order */
    uint8_t key_id[KEY_ID_SIZE]; /* for the comment */
};

/* Adds messages to a batch (batch.h) that put the element in anew, or take it out. `destroys`: the
 * kernel has NFT_MSG_DESTROYSETELEM (Linux 6.3), and it does not matter whether the element is
 * there. Without that the batch is refused where TABLE_SENDING has it with another destination. */
void element_put(struct netwriter *w, const struct element *element, bool destroys);
void element_remove(struct netwriter *w, const struct element *element, bool destroys);

/* The same as element_put, for a set that cannot have it yet. */
void element_add(struct netwriter *w, const struct element *element);

#endif
