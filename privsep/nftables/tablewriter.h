/* Writes the messages that make a table, its sets and its chains. For rules see expression.h. */
#ifndef PORTSMITH_TABLEWRITER_H
#define PORTSMITH_TABLEWRITER_H

#include <stddef.h>
#include <stdint.h>

#include "privsep/message.h"
#include "privsep/netwriter.h"
#include "privsep/nftables/expression.h"

/* nft(8)'s numbers for what keys and values are made of (its enum datatypes). It prints by them. */
enum {
    TYPE_ADDRESS4 = 7,
    TYPE_ADDRESS6 = 8,
    TYPE_PROTOCOL = 12,
    TYPE_PORT = 13,
    TYPE_ICMP = 14,
    TYPE_ICMP6 = 29,
    TYPE_OF_ADDRESS = 38,
};
#define TYPE_OF_TWO(a, b) ((a) << 6 | (b))
#define TYPE_OF_THREE(a, b, c) (TYPE_OF_TWO(a, b) << 6 | (c))

/* Puts an empty table with these flags (NFT_TABLE_F_*) in the place of any of this name. Only if
 * that is somebody else's it is refused. */
void tablewriter_replace(struct netwriter *w, const char *table, uint32_t flags);

/* Makes the table, or adopts the one of this name that has these flags. */
void tablewriter_table(struct netwriter *w, const char *table, uint32_t flags);

/* Removes all rules; a set or a chain, which no rule names, if it is there (Linux 6.3). */
void tablewriter_remove_rules(struct netwriter *w, const char *table);
void tablewriter_destroy_set(struct netwriter *w, const char *table, const char *name);
void tablewriter_destroy_chain(struct netwriter *w, const char *table, const char *name);

/* Removes the table of this name, if there is one. */
void tablewriter_remove(struct netwriter *w, const char *table);

struct tablewriter_set {
    const char *name;
    uint32_t flags;    /* NFT_SET_* */
    uint32_t key_type, key_size;
    uint32_t data_type, data_size; /* 0: it is no map */
    uint32_t room;     /* elements */
    uint32_t id;       /* in the batch */
    const struct expression *each; /* what an element has that brings nothing itself, up to
                                      EXPRESSION_END; NULL: nothing */
};

void tablewriter_set(struct netwriter *w, const char *table, const struct tablewriter_set *set);

/* Writes a set that does not change, of room for these keys. */
void tablewriter_constants(struct netwriter *w, const char *table,
                           const struct tablewriter_set *set, const void *keys);

/* The same, of `count` services, not none, for SERVICE_AT. `id` is that of the set in the batch. */
void tablewriter_services(struct netwriter *w, const char *table, const char *set, uint32_t id,
                          const struct service *services, size_t count);

void tablewriter_chain(struct netwriter *w, const char *table, const char *name);

/* A chain that the kernel calls, of the type "filter" or "nat", at a hook (NF_INET_*). What none of
 * its rules decides it accepts. */
void tablewriter_base_chain(struct netwriter *w, const char *table, const char *name,
                            const char *type, unsigned hook, int priority);

#endif
