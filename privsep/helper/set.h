/* GrantStore = set: grants are elements of a set in the kernel (ipset(8)). Each family has one
 * set, behind one rule in each table. An element has a deadline of its own that the kernel
 * keeps. To open a door costs the same, however many doors are open.
 *
 * Nothing is read back: the table of grants is the truth, and a set can be filled from it
 * anew. An element that another program takes out stays out until the set is filled anew.
 *
 * The kernel does not count the time that the host is suspended for (jiffies). A helper
 * that lives takes out what has ended meanwhile. */
#ifndef PORTSMITH_SET_H
#define PORTSMITH_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "privsep/helper/grants.h"
#include "privsep/plan.h"
#include "privsep/xtables/ipset.h"

struct sets {
    struct ipset kernel;
    const struct plan *plan; /* which has the orders */
};

/* What a program can do with sets. What returns bool gives false with the reason in *why. */
struct store {
    void (*open)(struct ipset *kernel); /* this and the next: see ipset.h */
    void (*close)(struct ipset *kernel);

    /* Whether a grant can be an element. One that counts connections, or is sent on to another
     * host, stays a rule. */
    bool (*holds)(const struct grant *grant);

    /* Makes the family's set, if there is none. The set then holds the table's grants, and no
     * others: it changes in one step. */
    bool (*fill)(struct sets *sets, enum family family, const struct grants *grants,
                 struct error *why);

    /* Puts the grants that are touched into the set, and takes out the doors that are gone (struct
     * grants) and that no other grant has. An element ends after a whole number of seconds: up to a
     * second before its grant, but after one second at the least. Where it fails, the set is to be
     * filled anew. */
    bool (*update)(struct sets *sets, enum family family, const struct grants *grants,
                   struct error *why);

    /* Removes the family's set, and the set that was being filled, where they are there. It fails
     * where a rule refers to the set. */
    bool (*remove)(struct sets *sets, enum family family, struct error *why);
};

/* NULL in the program that keeps all grants as rules. */
extern const struct store *const helper_sets;

#endif
