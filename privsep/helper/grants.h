/* The helper's hold on the live grants (granttable.h): it opens, extends and ends them. A
 * grant is (profile, address, protocol, port); knocking again extends it.
 *
 * Every change is in the file at once, sealed, so that a helper may be killed at any
 * instant: the next one takes over what the firewall had. What a batch has touched goes
 * back to what it was before; what was being changed just then is no grant any more. */
#ifndef PORTSMITH_GRANTS_H
#define PORTSMITH_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "privsep/granttable.h"

/* What is opened, for whichever profile. */
struct door {
    struct address address;
    struct service service;
};

enum { GRANTS_GONE = 64 }; /* of which the firewall is told one by one */

struct grants {
    struct grant *items; /* in the file; in no order, but the newest is the last until another
                            is removed */
    size_t count;
    size_t capacity;
    size_t touched_count;
    int64_t next_deadline; /* no grant ends before; CLOCK_BOOTTIME, nanoseconds */
    struct door gone[GRANTS_GONE]; /* of grants that ended, or were taken back, since the
                                      firewall was told */
    size_t gone_count;
    bool gone_lost[2]; /* in IPv4, IPv6: there were more */
    struct granttable *table; /* the file, mapped; NULL: there is none */
    int file;
};

/* Makes a file for `capacity` grants in the directory `run_dir`, and has it take the place of
 * the file that is there, whose grants it takes over: those of this boot that end after `now`
 * (CLOCK_BOOTTIME, nanoseconds), and that could have been granted. False with the reason:
 * the file that was there stays, and the table is empty and has room for no grant. */
bool helper_grants_create(struct grants *grants, int run_dir, size_t capacity, int64_t now,
                          struct error *why);
void helper_grants_free(struct grants *grants);

/* Whether somebody removed, replaced or cut the file: nobody else would see then what is
 * changed. */
bool helper_grants_lost_file(const struct grants *grants);

/* Adds a grant of which there is none yet, with a new id, to a table that has room. It stays
 * where it is until another is removed. */
struct grant *helper_grants_add(struct grants *grants, const struct grant *new);

/* Extends a grant of the table; of two deadlines the later one stays. */
void helper_grants_extend(struct grants *grants, struct grant *grant, int64_t deadline);

/* The next grant of the profile after `last`; NULL: its first, and it has no more. */
const struct grant *helper_grants_next_of(const struct grants *grants,
                                          const uint8_t key_id[static KEY_ID_SIZE],
                                          const struct grant *last);

/* The next grant of that door, of whichever profile, after `last`, which is one of its
 * grants, or NULL for the first. NULL: there is no more. */
const struct grant *helper_grants_next_of_door(const struct grants *grants,
                                               const struct door *door,
                                               const struct grant *last);

/* How far a walk through the grants has come. It goes from the last grant down, as the
 * newest are there. */
struct grants_cursor {
    size_t at;      /* the items below are still to come, */
    size_t touched; /* and so many that are new or were extended in this batch */
};
struct grants_cursor helper_grants_begin(const struct grants *grants);

/* The next grant; or the next that is new or was extended in this batch. NULL: there are
 * no more. */
const struct grant *helper_grants_next(const struct grants *grants, struct grants_cursor *cursor);
const struct grant *helper_grants_next_touched(const struct grants *grants,
                                               struct grants_cursor *cursor);

/* Takes items[i] away: it then lies, without its seal, behind the others, at items[count],
 * until the next addition, and the last one in its place. */
void helper_grants_remove_at(struct grants *grants, size_t i);

/* Takes all away; they lie at `items` until the next addition. */
void helper_grants_clear(struct grants *grants);

/* Ends a batch for one family: grants touched in it stay when the firewall has
 * them, and go back to what they were before when it has not. */
void helper_grants_settle(struct grants *grants, bool ipv6, bool installed);

/* The firewall has been told of what is gone in this family. */
void helper_grants_forget_gone(struct grants *grants, bool ipv6);

/* Works out anew, after the wall clock was set, in which second each ends. */
void helper_grants_follow_clock(struct grants *grants);

/* Removes what ended by `now`; tells for IPv4 [0] and IPv6 [1] whether any. How
 * many there were is returned: they lie behind the others, from items[count] on,
 * until the next addition. */
size_t helper_grants_expire(struct grants *grants, int64_t now, bool changed[static 2]);

/* Brings a grant's end forward, to `deadline` at most. */
void helper_grants_shorten(struct grants *grants, struct grant *grant, int64_t deadline);

/* Until when none ends, or INT64_MAX without grants. It is the earliest deadline, or earlier
 * where a grant was extended since helper_grants_expire last looked. */
int64_t helper_grants_next_deadline(const struct grants *grants);

#endif
