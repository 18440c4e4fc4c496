/* A packet's way through rules as iptables-save(8) prints them, as far as it can be
 * told: the rules are read, not asked. Where a rule has a match that is not known here,
 * or that some packets meet and some do not, such as a source address, it is one that
 * a stranger's packet may or may not meet. */
#ifndef PORTSMITH_WALK_H
#define PORTSMITH_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"
#include "common/service.h"

/* A line of a chain: its rule without "-A CHAIN ", or its policy. */
struct walk_line {
    const char *table, *chain, *rest;
    bool is_policy;
};

struct walk_rules {
    struct walk_line *lines;
    size_t count;
    char *text; /* what the lines point into */
};

struct packet {
    struct service service;  /* that it goes to, or comes from */
    const char *interface;   /* that it comes in by, or leaves by */
    bool is_established;     /* or begins a connection */
    bool is_untracked;       /* which connection tracking knows nothing of */
    bool is_reply;           /* leaves this host */
    const struct address *to; /* NULL: this host */
    bool is_granted;         /* a knock has opened its way */
    bool is_elsewhere;       /* to an address of this host that table `local` does not have */
};

struct walk_end {
    bool accepts, drops;   /* what happens to a stranger's packet for certain; never both */
    bool by_policy;        /* and not by the following */
    struct walk_line line; /* which did that */
};

/* Takes `text`, which is freed with walk_free. False without memory. Lines in a quoted
 * text, which a comment can have, are none. */
bool walk_read(struct walk_rules *rules, char *text);
void walk_free(struct walk_rules *rules);

/* Whether there is any rule, or a policy that drops. */
bool walk_has_rules(const struct walk_rules *rules);
bool walk_has_chain(const struct walk_rules *rules, const char *table, const char *chain);

/* Whether a chain has this rule, to the letter. */
bool walk_has_rule(const struct walk_rules *rules, const char *table, const char *chain,
                   const char *rule);

/* Whether a rule of the chain has the text. */
bool walk_has_text(const struct walk_rules *rules, const char *table, const char *chain,
                   const char *text);

/* What becomes of the packet in a base chain. A table that is not there accepts. */
struct walk_end walk_through(const struct walk_rules *rules, const char *table, const char *chain,
                             const struct packet *packet);

/* Whether the nat table's PREROUTING sends some strangers' packets elsewhere; by grants
 * alone is not that. The new destination's address and port are in *to and *port, or 0
 * where it is not told as an address. */
bool walk_finds_dnat(const struct walk_rules *rules, const struct packet *packet,
                     struct address *to, uint16_t *port);

/* The rule of the raw table, at PREROUTING or for a reply at OUTPUT, that for certain keeps
 * the kernel from tracking strangers' packets like this one; NULL: there is none. */
const struct walk_line *walk_find_notrack(const struct walk_rules *rules,
                                          const struct packet *packet);

/* Whether a rule has that target. */
bool walk_has_target(const struct walk_rules *rules, const char *target);

#endif
