/* The live grants: who may reach which service, until when. They lie in the file "grants" of
 * the run directory's part "helper", as the helper works with them: it maps the file and
 * changes it in place, and whoever else reads it sees the same. Both are one build on one
 * host, so the records are as they lie in memory.
 *
 * Each record is sealed by a checksum when it has been changed. One whose seal is wrong
 * was being changed when its helper was killed, was removed, or never used: it is no grant,
 * and its door is shut.
 *
 * A grant never moves but to a lower place, and is sealed there before the higher one is
 * used for another. So whoever goes through the records from the last down meets each grant
 * that is there all the time, some of them twice. */
#ifndef PORTSMITH_GRANTTABLE_H
#define PORTSMITH_GRANTTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/linux/boot.h"
#include "common/envelope.h"
#include "common/service.h"
#include "privsep/message.h"
#include "privsep/seal.h"

#define GRANTTABLE_FILE "grants"

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
    uint8_t touched;         /* nonzero: new or extended in this batch */
    uint8_t was_extended;    /* nonzero: it may also have rules that end earlier than it does, or
                                has moved here, where it may have been before */
    uint16_t end;         /* enum grant_end: why it ends before its window is over; 0: it does
                             not */
    uint32_t id;          /* no other grant of this boot has it */
    uint32_t connections; /* how many it admits; 0: any number. The witness counts them (uses.h) */
    uint32_t allowance;   /* how often a knock has admitted as many */
    uint8_t seal[SEAL_SIZE]; /* of all before it */
};
_Static_assert(sizeof(struct grant) == 112, "no hidden padding");

enum { GRANTTABLE_RESTORES = 2 * FAMILIES };

/* The file. */
struct granttable {
    char magic[8];
    char boot_id[BOOT_ID_SIZE]; /* of the boot whose deadlines these are */
    uint32_t capacity;          /* records */
    uint8_t seal[SEAL_SIZE];    /* of all before it, which never changes */
    uint32_t last_id;           /* of all grants of this boot, and of one whose rule is to be in force
                                   soon */
    uint32_t begun;             /* how many EVENT_BEGUN there were in this boot (event.h) */
    uint32_t last_id_before;    /* when this file was made: for each helper there is a new one */
    uint32_t zero;
    uint32_t restores[FAMILIES][2]; /* the process ids of the programs that last changed the
                                       firewall for this helper, the latest first; 0: none */
    struct grant grants[];
};
_Static_assert(sizeof(struct granttable) == 96, "no hidden padding");

/* Returns the size, in bytes, of a file for `capacity` grants. */
size_t granttable_size(size_t capacity);

/* Seals a grant's record. Whoever changes a record calls it before changing anything else. */
void grant_seal(struct grant *grant);

#endif
