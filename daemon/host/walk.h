/* A packet's way through rules as iptables-save(8) prints them. The rules are read, the kernel
 * is not asked, so the way is known only so far: a rule with a match that is not known here, or
 * that depends on who the stranger is, such as a source address, may match or may not. */
#ifndef PORTSMITH_WALK_H
#define PORTSMITH_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    struct service service;   /* where it goes to; of a reply: where it comes from */
    const char *interface;    /* by which it comes in; of a reply: by which it leaves */
    bool is_established;      /* it belongs to a connection; false: it begins one */
    bool is_untracked;        /* connection tracking does not know it */
    bool is_reply;            /* it leaves this host */
    const struct address *to; /* its destination; NULL: this host */
    bool is_granted;          /* a knock has opened its way */
    bool is_elsewhere;        /* it goes to an address of this host that is not in table `local` */
    uint32_t mark;            /* bits that its mark has for certain; the others are not known */
};

struct walk_end {
    bool accepts, drops;   /* what happens to a stranger's packet for certain; never both */
    bool by_policy;        /* the chain's policy decided */
    struct walk_line line; /* the rule, or the policy, that decided */
};

/* Reads what iptables-save printed. Takes `text` over: walk_free frees it, or this function
 * where it fails. False without memory. A comment may hold line ends in quotes: they end no
 * rule. */
bool walk_read(struct walk_rules *rules, char *text);
void walk_free(struct walk_rules *rules);

/* Whether there is any rule, or a policy that drops. */
bool walk_has_rules(const struct walk_rules *rules);

/* Whether the table has a chain of that name. */
bool walk_has_chain(const struct walk_rules *rules, const char *table, const char *chain);

/* Whether a chain has this very rule, written as iptables-save writes it. */
bool walk_has_rule(const struct walk_rules *rules, const char *table, const char *chain,
                   const char *rule);

/* Whether the text stands in a rule of the chain. */
bool walk_has_text(const struct walk_rules *rules, const char *table, const char *chain,
                   const char *text);

/* What becomes of the packet in a base chain. Where the table is missing, it is accepted. The
 * result points into the rules. */
struct walk_end walk_through(const struct walk_rules *rules, const char *table, const char *chain,
                             const struct packet *packet);

/* Whether PREROUTING of the nat table gives strangers' packets like this one another destination.
 * That a grant does so does not count. The new address and port are in *to and *port; *port is 0
 * where the rule names no address. */
bool walk_finds_dnat(const struct walk_rules *rules, const struct packet *packet,
                     struct address *to, uint16_t *port);

/* The rule of the raw table that for certain keeps the kernel from tracking strangers' packets
 * like this one; NULL: there is none. It stands in PREROUTING, or for a reply in OUTPUT. */
const struct walk_line *walk_find_notrack(const struct walk_rules *rules,
                                          const struct packet *packet);

/* Whether a rule of any chain has that target. */
bool walk_has_target(const struct walk_rules *rules, const char *target);

#endif
