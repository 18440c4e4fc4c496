/* Our part of the firewall, but for the rules of grants: what is the same whatever is
 * granted. It is made once, before the helper serves, as text for iptables-restore(8): whole
 * transactions with holes. Whoever runs one fills its holes, and changes nothing else about it.
 *
 *   mangle PREROUTING -> portsmith        to this host, not over loopback?
 *                        portsmith-close  to a shut port, and new?
 *                        portsmith-shut   grants RETURN; the rest is dropped, or with
 *                                         ShutWith = reset marked
 *   mangle INPUT      -> portsmith-input  delivered here, but not known for that before?
 *                                         An ACK that belongs to no session?
 *   mangle FORWARD    -> portsmith-translated  such an ACK that DNAT sent on?
 *   filter INPUT      -> portsmith        what is marked is refused; a new connection, or
 *                                         what the kernel is told not to track, but of TCP
 *                                         only what begins one?
 *                        portsmith-open   grants ACCEPT it; then, with ShutWith = reset,
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

#include <stdint.h>
#include <stdio.h>

/* The chains with rules of grants. */
enum rules_place { PLACE_SHUT, PLACE_OPEN, PLACE_GATEWAY, PLACE_SENDING, RULES_PLACES };

enum { RULES_JUMPS = 6 }; /* from the kernel's chains to ours */

/* What a grant is like: bits. They choose its rules. */
enum rules_kind {
    RULES_UDP = 1,     /* else TCP */
    RULES_LIMITED = 2, /* it admits only so many connections */
    RULES_SENT_ON = 4, /* its packets are sent on to another host */
    RULES_KINDS = 8
};

/* The texts of one family. The first are the transactions: each is a block for every table that is
 * in use. What is not in use has an empty text. */
enum rules_text {
    RULES_INSERT,  /* takes out the rules of some grants, and adds those of others */
    RULES_REWRITE, /* writes the chains with rules of grants anew */
    RULES_REFRESH, /* writes all chains anew. The jumps stay as they are, wherever an admin put
                      them; those that are known to be missing are put back.
                      ip6tables-legacy takes another rule for one that it is asked for with -C
                      (1.8.9, tried: `-m mark --mark 5` for `--mark 6`) */
    RULES_CHECK,   /* refused unless all is in force */
    RULES_CLEAR,   /* writes the chains with rules of grants anew, with no rule of a grant's, and
                      none that refers to a set */
    RULES_QUESTIONS,                               /* of each jump: refused if it is not there */
    RULES_MISSING = RULES_QUESTIONS + RULES_JUMPS, /* of each jump: the line that adds it */
    RULES_OF_GRANTS = RULES_MISSING + RULES_JUMPS, /* of each kind of grant, at each place */
    RULES_TEXTS = RULES_OF_GRANTS + (int)RULES_KINDS * (int)RULES_PLACES
};

/* A hole is this character, and one that says what belongs there. */
enum { RULES_HOLE = '@' };

/* What belongs into the holes of a transaction: at RULES_GRANTS + PLACE the rules of grants, at
 * RULES_JUMP + N the line that adds the jump if that is missing. */
enum { RULES_GRANTS = '0', RULES_JUMP = 'a' };

/* And into those of a grant's rules. */
enum rules_hole {
    RULES_ACTION = 'A',  /* -A, -C, -D or -I */
    RULES_SOURCE = 'S',  /* the grant's address */
    RULES_PORT = 'P',    /* its service's */
    RULES_HOST = 'H',    /* whom it is sent on to, */
    RULES_HOST_PORT = 'Q', /* and to which port there */
    RULES_DATE = 'T',    /* its last second: rules_write_date */
    RULES_PACKETS = 'N', /* that begin as many connections as it admits */
    RULES_LIMIT = 'I',   /* the end of its limit's name */
    RULES_KEY = 'K',     /* the profile's key id */
};

/* The last second that a rule can have as a deadline, seconds since the epoch: 2038-01-18 00:00
 * UTC. iptables 1.8.9 refuses 2039, and its 32-bit builds the day after this one. */
enum { RULES_LAST_DATE = 2147385600 };

/* Writes a second of the wall clock, RULES_LAST_DATE at most, as a rule has it. */
void rules_write_date(FILE *out, int64_t second);

#endif
