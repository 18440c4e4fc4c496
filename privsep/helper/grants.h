/* The live grants: who may reach which service, until when. A grant is
 * (profile, address, protocol, port); knocking again extends it. */
#ifndef PORTSMITH_GRANTS_H
#define PORTSMITH_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/boot.h"
#include "common/envelope.h"
#include "common/error.h"
#include "common/service.h"
#include "privsep/message.h"

enum { GRANT_FLOWS = CONNECTIONS_MAX };

enum grant_signing {
    GRANT_OBSERVED = 0,
    GRANT_SIGNED = 1,           /* the client named the address itself */
    GRANT_SIGNED_ELSEWHERE = 2, /* the same, and knocked from another one */
};

struct grant {
    uint8_t key_id[KEY_ID_SIZE];
    struct address address;
    struct service service;
    struct address destination; /* whom this host sends it on to, if destination_port */
    uint16_t destination_port;  /* host byte order; 0: the service is this host's own */
    uint16_t signed_address; /* enum grant_signing, of the last knock that signed */
    uint64_t counter;    /* the highest of the knocks that opened or extended it */
    int64_t deadline;    /* CLOCK_BOOTTIME, nanoseconds */
    int64_t last_second; /* in which its rule lets through: wall clock, seconds since the
                            epoch. Kept, so that the rule can be written again
                            to the letter and looked for. */
    /* While a batch is not yet in the firewall: */
    int64_t deadline_before; /* what to go back to; 0: there was no grant */
    uint32_t touched;        /* nonzero: new or extended in this batch */
    uint32_t id;             /* no other grant of this boot has it */
    /* Was it used? See usage.h. */
    uint32_t connections; /* how many it admits; 0: any number */
    uint32_t allowance;   /* how often a knock has admitted as many anew */
    uint32_t watched;     /* 1: all that is to be counted was told so far */
    uint32_t used;        /* connections that came in through it; where it admits any
                             number, the first alone */
    uint32_t flows[GRANT_FLOWS]; /* the kernel's numbers of those */
};
_Static_assert(sizeof(struct grant) == 136, "no hidden padding: it is stored as it lies");

/* What is opened, for whichever profile. */
struct door {
    struct address address;
    struct service service;
};

/* Grants that have something in common, one after the other: places in `items` plus 1, and
 * 0 at the end. */
struct chains {
    uint32_t *first; /* by what they have in common */
    uint32_t *next;  /* of each item */
    size_t mask;     /* chains - 1, a power of two less one */
};

struct grants {
    struct grant *items; /* in no order, but the newest is the last until another is removed */
    size_t count;
    size_t capacity;
    size_t touched_count;
    int64_t next_deadline; /* none ends before; CLOCK_BOOTTIME, nanoseconds */
    struct door *gone; /* of grants that ended, or were taken back, since the firewall was
                          told; `capacity` at most */
    size_t gone_count;
    bool gone_lost[2]; /* in IPv4, IPv6: there were more */
    uint32_t last_id;
    struct chains profiles, doors; /* the grants of each */
    /* The file: a header, then a slot for each item. */
    int run_dir;
    int file;        /* -1: there is none, or it must be written anew */
    uint8_t *stale;  /* of each slot: 1 if the file does not have it as it is */
    size_t slots;    /* in the file */
    char boot_id[BOOT_ID_SIZE]; /* the kernel's, as text */
};

enum grant_change { GRANT_ADDED, GRANT_EXTENDED, GRANT_REFUSED /* the table is full */ };

/* An empty table for `capacity` grants, stored in the directory `run_dir`. */
bool helper_grants_create(struct grants *grants, int run_dir, size_t capacity, struct error *why);
void helper_grants_free(struct grants *grants);

/* Adds the grants of the file "grants" that this boot stored and that end
 * after `now` (CLOCK_BOOTTIME, nanoseconds). A missing or foreign file adds none, and what
 * is damaged or could never have been granted is left out: doors then shut. */
void helper_grants_load(struct grants *grants, int64_t now);

/* Stores in the file what changed since the last time; the first time, all in one step.
 * Where that fails the file is removed, so that no closed grant comes back from it. */
bool helper_grants_save(struct grants *grants, struct error *why);

/* The same, with the failure in the log. */
void helper_grants_store(struct grants *grants);

/* Opens or extends; of two deadlines the later one stays. */
enum grant_change helper_grants_open(struct grants *grants,
                                           const uint8_t key_id[static KEY_ID_SIZE],
                                           const struct address *address,
                                           const struct service *service, int64_t deadline);

/* Adds a grant of which there is none yet, with a new id, to a table that has room. It stays
 * where it is until another is removed. */
struct grant *helper_grants_add(struct grants *grants, const struct grant *new);

/* Extends a grant of the table; of two deadlines the later one stays. */
void helper_grants_extend(struct grants *grants, struct grant *grant, int64_t deadline);

/* To be called when a grant of the table was changed by others than these functions. */
void helper_grants_note_change(struct grants *grants, const struct grant *grant);

/* NULL when there is none. Good until the table changes. */
struct grant *helper_grants_find(struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE],
                                 const struct address *address, const struct service *service);

/* The next grant of the profile after `last`; NULL: its first, and it has no more. */
const struct grant *helper_grants_next_of(const struct grants *grants,
                                          const uint8_t key_id[static KEY_ID_SIZE],
                                          const struct grant *last);

/* How many the profile has. */
size_t helper_grants_of(const struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE]);

/* The next grant of that door, of whichever profile, after `last`; NULL: after none, and
 * there is none. */
const struct grant *helper_grants_next_of_door(const struct grants *grants,
                                               const struct door *door,
                                               const struct grant *last);

/* Where one who goes through the grants is: from the last down, as the newest are there. */
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

/* Takes a grant away; false when there was none. */
bool helper_grants_remove(struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE],
                          const struct address *address, const struct service *service);

/* Takes items[i] away: it then lies behind the others, at items[count], until the next
 * addition, and the last one in its place. */
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
