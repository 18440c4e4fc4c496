/* Our part of the firewall, but for the rules of grants: what is the same whatever is
 * granted. It is made once, before the helper serves, as text for iptables-restore(8).
 * Whoever writes the text puts the rules of grants at their places in it, and changes
 * nothing else about it.
 *
 *   mangle PREROUTING -> portsmith        to this host, not over loopback?
 *                        portsmith-close  to a shut port, and new?
 *                        portsmith-shut   grants RETURN; the rest is dropped, or with
 *                                         CloseWith = reset marked
 *   mangle INPUT      -> portsmith-input  delivered here, but not known for that before?
 *                                         An ACK that belongs to no session?
 *   mangle FORWARD    -> portsmith-translated  such an ACK that DNAT sent on?
 *   filter INPUT      -> portsmith        what is marked is refused; a new connection, or
 *                                         what the kernel is told not to track, but of TCP
 *                                         only what begins one?
 *                        portsmith-open   grants ACCEPT it; then, with CloseWith = reset,
 *                                         shut ports are refused
 *   filter FORWARD    -> portsmith-gateway  what is marked is refused
 *                        portsmith-through  grants ACCEPT new connections to other hosts, with
 *                                         Forward or with destinations; then what was sent
 *                                         on to these stays accepted
 *   nat    PREROUTING -> portsmith        grants DNAT them to their destinations
 *
 * With GrantStore = set most grants are elements of a set (set.h), which one rule in
 * portsmith-shut and one in portsmith-open look into.
 *
 * No rule stands above those of grants in their chains. So a grant's rule goes to the top:
 * iptables-nft reads all rules of a chain to find any other place in it.
 *
 * Each of the kernel's chains has one jump to ours. Why mangle PREROUTING: it comes before
 * any DNAT, so that ports published by containers are shut too. The mark stands for DROP:
 * mangle cannot refuse, so filter does, before anything else is asked there. */
#ifndef PORTSMITH_PRIVSEP_RULES_H
#define PORTSMITH_PRIVSEP_RULES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum rules_table { RULES_MANGLE, RULES_FILTER, RULES_NAT, RULES_TABLES };

/* One bit of the packet mark says "refuse this in INPUT or FORWARD". High, as
 * the low bits are popular with routing and container tools. */
#define RULES_RESET_MARK "0x10000000/0x10000000"

/* The chains with rules of grants. */
enum rules_place { PLACE_SHUT, PLACE_OPEN, PLACE_GATEWAY, PLACE_SENDING, RULES_PLACES };

/* From RULES_EARLIER on, the jumps lead to chains that versions up to 0.1.0 made and no
 * later one does: a helper that starts, and a release, remove them. Such an entry stays
 * until two more versions are out, so that whoever skips one is not left with a chain. */
enum {
    RULES_TO_INPUT = 3,
    RULES_TO_GATEWAY = 4,
    RULES_TO_SENDING = 5,
    RULES_EARLIER = 6,
    RULES_JUMPS = 8
};

struct jump {
    const char *table, *from, *to;
};

extern const char *const rules_tables[RULES_TABLES];
extern const struct place {
    enum rules_table table;
    const char *chain;
} rules_places[RULES_PLACES];
extern const struct jump rules_jumps[RULES_JUMPS];

/* The texts of one family, for iptables-restore(8). Each kind is there for each table, or for each
 * place. A place that is not in use has no text. */
enum rules_text {
    RULES_FIXED,  /* makes or empties the chains without grants, and fills them; once those with
                     grants, to which they lead, are there */
    RULES_CHECKS = RULES_FIXED + RULES_TABLES, /* refused unless all that is here is in force */
    RULES_HEADS = RULES_CHECKS + RULES_TABLES, /* makes or empties the chain of a place */
    RULES_SETS = RULES_HEADS + RULES_PLACES,   /* the rule about the set, behind the grants' */
    RULES_BELOW = RULES_SETS + RULES_PLACES,   /* the rules behind those */
    RULES_TEXTS = RULES_BELOW + RULES_PLACES
};

struct rules {
    const char *texts[RULES_TEXTS]; /* each ends with a zero */
    bool wants[RULES_JUMPS]; /* a jump that it does not want goes, with its chain */
};

/* The last second that a rule can have as a deadline, seconds since the epoch: 2038-01-18 00:00
 * UTC. iptables 1.8.9 refuses 2039, and its 32-bit builds the day after this one. */
enum { RULES_LAST_DATE = 2147385600 };

/* Writes the match for a second of the wall clock, RULES_LAST_DATE at most. `bound` is --datestart
 * or --datestop; both include that second. */
void rules_write_date(FILE *out, const char *bound, int64_t second);

#endif
