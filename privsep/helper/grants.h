/* The live grants as the helper works on them (granttable.h): it adds, extends and removes
 * them. A grant is (profile, address, protocol, port). Knocking again extends it.
 *
 * Every change is in the file at once, sealed, so that a helper may be killed at any
 * instant: the next one takes over what the firewall had. What a batch has touched goes
 * back to what it was before; what was being changed just then is no grant any more. */
#ifndef PORTSMITH_GRANTS_H
#define PORTSMITH_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "privsep/event.h"
#include "privsep/granttable.h"

/* What is opened, for whichever profile. */
struct door {
    struct address address;
    struct service service;
    struct address destination; /* from here on: of one grant, as in struct grant */
    uint16_t destination_port;
    uint32_t connections;
};

enum {
    GRANTS_GONE = 1024, /* grants of which the firewall is told one by one */
};

/* What has changed in one family since the firewall was told. Whichever comes later takes telling
 * the ones before it, too. */
enum grants_change {
    GRANTS_UNCHANGED,
    GRANTS_ADDED,
    GRANTS_EXTENDED,  /* each grant that was added or extended is `touched` */
    GRANTS_REMOVED,   /* the grants that ended, or were taken back, are in `gone` */
    GRANTS_FORGOTTEN, /* the same, but there were more than `gone` has room for */
};

struct grants {
    struct grant *items; /* in the file, in no order */
    size_t count;
    size_t capacity;
    size_t touched_count;
    int64_t next_deadline; /* no grant ends before; CLOCK_BOOTTIME, nanoseconds */
    enum grants_change changes[FAMILIES];
    struct grant gone[GRANTS_GONE]; /* of both families, in no order */
    size_t gone_count;
    struct granttable *table; /* the file, mapped; NULL: there is none */
    int file;
};

/* Maps the table of the file `fd`, for `capacity` grants, whose grants are its first records. It
 * was made in this boot. *grants is all zero before, and nothing here clears it: to write zeros
 * into `gone` would take up memory. False with the reason. */
bool helper_grants_map(struct grants *grants, int fd, size_t capacity, struct error *why);

/* Whether somebody removed, replaced or cut the file. Then no other process sees any more what
 * this one changes. */
bool helper_grants_lost_file(const struct grants *grants);

/* Adds a copy of *new to a table that has room, and that has no grant of the same profile and
 * door. The copy has a new id, and stays where it is until another grant is removed. */
struct grant *helper_grants_add(struct grants *grants, const struct grant *new);

/* Puts a copy of a grant behind the others, as it is, into a table that has room. */
struct grant *helper_grants_put(struct grants *grants, const struct grant *grant);

/* Extends a grant of the table to `deadline` (CLOCK_BOOTTIME, nanoseconds), unless it ends
 * later anyway. */
void helper_grants_extend(struct grants *grants, struct grant *grant, int64_t deadline);

/* Returns the next grant of the profile after `last`, which is one of its grants, or NULL for
 * the first. Returns NULL when the profile has no more. */
const struct grant *helper_grants_next_of(const struct grants *grants,
                                          const uint8_t key_id[static KEY_ID_SIZE],
                                          const struct grant *last);

/* Returns the door of a grant. */
struct door helper_grants_door(const struct grant *grant);

/* Returns the next grant of the door, of whichever profile and destination, after `last`, which is
 * one of its grants, or NULL for the first. Returns NULL when the door has no more. */
const struct grant *helper_grants_next_at(const struct grants *grants, const struct door *door,
                                          const struct grant *last);

/* Removes items[i]. The last grant takes its place, and the removed one lies, without its seal,
 * behind the others, at items[count], until the next addition. */
void helper_grants_remove_at(struct grants *grants, size_t i);

/* Removes all grants. They lie at `items` until the next addition. */
void helper_grants_clear(struct grants *grants);

/* Ends a batch for one family, once the firewall was told of its changes. The grants that were
 * touched stay as they are if they are `installed` in the firewall; else they go back to what they
 * were before. */
void helper_grants_settle(struct grants *grants, enum family family, bool installed);

/* Removes the grants that ended by `now` (CLOCK_BOOTTIME, nanoseconds), and returns how many
 * there were. They lie behind the others, from items[count] on, until the next addition. */
size_t helper_grants_expire(struct grants *grants, int64_t now);

/* Brings a grant's end forward to `deadline` (CLOCK_BOOTTIME, nanoseconds), unless it ends
 * earlier anyway. So is the end that it goes back to if the firewall does not take its batch. */
void helper_grants_shorten(struct grants *grants, struct grant *grant, int64_t deadline);

/* Ends a grant now, and notes why: the next helper_grants_expire removes it. If it has a
 * rule already, its `last_second` stays that of the rule, which is looked for by it. */
void helper_grants_end(struct grants *grants, struct grant *grant, enum grant_end why);

/* Returns a time (CLOCK_BOOTTIME, nanoseconds) before which no grant ends; INT64_MAX without
 * grants. It is the earliest deadline, or earlier where a grant was extended, or the table mapped,
 * since helper_grants_expire last looked. */
int64_t helper_grants_next_deadline(const struct grants *grants);

#endif
