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
#ifndef PORTSMITH_RULES_H
#define PORTSMITH_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"
#include "privsep/message.h"
#include "privsep/xtables/jump.h"
#include "privsep/xtables/text.h"

enum rules_table { RULES_MANGLE, RULES_FILTER, RULES_NAT, RULES_TABLES };

/* The chains with rules of grants. */
enum rules_place { PLACE_SHUT, PLACE_OPEN, PLACE_GATEWAY, PLACE_SENDING, RULES_PLACES };

/* From RULES_EARLIER on, the jumps lead to chains that versions up to 0.1.0 made and no
 * later one does: a helper that starts, and a release, remove them. Such an entry stays
 * until two more versions are out, so that whoever skips one is not left with a chain. */
enum { RULES_EARLIER = 6, RULES_JUMPS = 8 };

extern const char *const rules_tables[RULES_TABLES];
extern const struct place {
    enum rules_table table;
    const char *chain;
} rules_places[RULES_PLACES];
extern const struct jump rules_jumps[RULES_JUMPS];

/* The rule by which the chain of a jump, with CloseWith = reset, refuses what is marked; written
 * as a jump is. Without a table where the chain has none. */
extern const struct jump rules_refusals[RULES_JUMPS];

/* Of one family. Each text is ended, and belongs to this. */
struct rules {
    struct text fixed[RULES_TABLES];  /* makes or empties the chains without grants, and fills
                                         them; once those with grants, to which they lead, are
                                         there */
    struct text checks[RULES_TABLES]; /* refused unless all that is here is in force */
    struct place_text {
        bool wanted;       /* the chain is to be */
        struct text sets;  /* the rule about the set, behind the grants' */
        struct text below; /* the rules behind those */
    } places[RULES_PLACES];
    bool wants[RULES_JUMPS]; /* a jump that it does not want goes, with its chain */
};

/* `destinations` are of both families, each once. `tells_sessions`: see probe_sessions.
 * The process ends if there is no memory. */
void rules_make(struct rules *rules, enum family family, const struct helper_setup *setup,
                const struct helper_destination *destinations, size_t count, bool tells_sessions);
void rules_free(struct rules *rules);

#endif
