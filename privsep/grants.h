/* The live grants: who may reach which service, until when. A grant is
 * (profile, address, protocol, port); knocking again extends it. */
#ifndef PORTSMITH_GRANTS_H
#define PORTSMITH_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "envelope.h"
#include "error.h"
#include "service.h"

enum { GRANT_FLOWS = 16 };

/* What is known of its use: nothing that counts; all, as the kernel told whenever it was
 * asked; or it has just been opened, and what comes in is listened for. */
enum grant_watch { UNWATCHED, WATCHED, WATCH_BEGINS };

struct grant {
    uint8_t key_id[KEY_ID_SIZE];
    struct address address;
    struct service service;
    struct address destination; /* whom this host sends it on to, if destination_port */
    uint16_t destination_port;  /* host byte order; 0: the service is this host's own */
    uint16_t signed_address; /* 1: the client named the address itself */
    int64_t deadline;    /* CLOCK_BOOTTIME, nanoseconds */
    int64_t last_second; /* in which its rule lets through: wall clock, seconds since the
                            epoch. Kept, so that the rule can be written again
                            to the letter and looked for. */
    /* While a batch is not yet in the firewall: */
    int64_t deadline_before; /* what to go back to; 0: there was no grant */
    uint64_t touched;        /* nonzero: new or extended in this batch */
    /* Was it used? See usage.h. */
    int64_t look_at;      /* when to ask next, CLOCK_BOOTTIME, nanoseconds; 0: never */
    uint32_t look_after;  /* milliseconds between the last two */
    uint32_t watched;     /* enum grant_watch */
    uint32_t used;        /* connections that came in through it, as far as was asked */
    uint32_t connections; /* how many it admits; 0: any number */
    uint32_t id;          /* no other grant of this boot has it */
    uint32_t flow_count;
    uint32_t flows[GRANT_FLOWS]; /* kernel's numbers of connections seen: those that were
                                    there before it was opened, and those counted */
};
_Static_assert(sizeof(struct grant) == 176, "no hidden padding: it is stored as it lies");

enum { BOOT_ID_SIZE = 36 };

/* What is opened, for whichever profile. */
struct door {
    struct address address;
    struct service service;
};

struct grants {
    struct grant *items; /* in no order */
    size_t count;
    size_t capacity;
    int64_t no_look_before; /* at their use (usage.h), CLOCK_BOOTTIME, nanoseconds */
    struct door *gone; /* of grants that ended, or were taken back, since the firewall was
                          told; `capacity` at most */
    size_t gone_count;
    bool gone_lost[2]; /* in IPv4, IPv6: there were more */
    uint32_t last_id;
    int run_dir;
    char boot_id[BOOT_ID_SIZE]; /* the kernel's, as text */
};

enum grant_change { GRANT_ADDED, GRANT_EXTENDED, GRANT_REFUSED /* the table is full */ };

/* An empty table for `capacity` grants, stored in the directory `run_dir`. */
bool helper_grants_create(struct grants *grants, int run_dir, size_t capacity, struct error *why);

/* Adds the grants of the file "grants" that this boot stored and that end
 * after `now` (CLOCK_BOOTTIME, nanoseconds). A missing, foreign or damaged file
 * adds none, and what could never have been granted is left out: doors then shut. */
void helper_grants_load(struct grants *grants, int64_t now);

/* Stores the table in the file, in one step. Where that fails the file is
 * removed, so that no closed grant comes back from it. */
bool helper_grants_save(const struct grants *grants, struct error *why);

/* The same, with the failure in the log. */
void helper_grants_store(const struct grants *grants);

/* Opens or extends; of two deadlines the later one stays. */
enum grant_change helper_grants_open(struct grants *grants,
                                           const uint8_t key_id[static KEY_ID_SIZE],
                                           const struct address *address,
                                           const struct service *service, int64_t deadline);

/* NULL when there is none. Good until the table changes. */
struct grant *helper_grants_find(struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE],
                                 const struct address *address, const struct service *service);

/* Takes a grant away; false when there was none. */
bool helper_grants_remove(struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE],
                          const struct address *address, const struct service *service);

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
void helper_grants_shorten(struct grant *grant, int64_t deadline);

/* The earliest deadline, or INT64_MAX without grants. */
int64_t helper_grants_next_deadline(const struct grants *grants);

size_t helper_grants_of(const struct grants *grants, const uint8_t key_id[static KEY_ID_SIZE]);

#endif
