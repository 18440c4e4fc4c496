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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/boot.h"
#include "common/envelope.h"
#include "common/error.h"
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
    uint16_t touched;        /* nonzero: new or extended in this batch */
    uint16_t end;         /* enum grant_end: why it ends before its window is over; 0: it does not */
    uint32_t id;          /* no other grant of this boot has it */
    uint32_t connections; /* how many it admits; 0: any number. The witness counts them (uses.h) */
    uint32_t allowance;   /* how often a knock has admitted as many anew */
    uint8_t seal[SEAL_SIZE]; /* of all before it */
};
_Static_assert(sizeof(struct grant) == 112, "no hidden padding");

enum { GRANTTABLE_RESTORES = 4 };

/* The file. */
struct granttable {
    char magic[8];
    char boot_id[BOOT_ID_SIZE]; /* of the boot whose deadlines these are */
    uint32_t capacity;          /* records */
    uint8_t seal[SEAL_SIZE];    /* of all before it, which never changes */
    uint32_t last_id;           /* of all grants of this boot */
    uint32_t begun;             /* how many EVENT_BEGUN there were in this boot (event.h) */
    uint32_t restores[GRANTTABLE_RESTORES]; /* the process ids of the programs that last changed
                                               the firewall for this helper; 0: none */
    struct grant grants[];
};
_Static_assert(sizeof(struct granttable) == 88, "no hidden padding");

/* Returns the size, in bytes, of a file for `capacity` grants. */
size_t granttable_size(size_t capacity);

/* Seals a grant's record. Whoever changes a record calls it before changing anything else. */
void grant_seal(struct grant *grant);

/* ---- grantfile.c -------------------------------------------------------- */

/* Writes the head of a new file, whose other bytes are zero. False with errno set when
 * the kernel does not tell its boot id. */
bool granttable_begin(struct granttable *table, size_t capacity);

/* A file that somebody else may be changing, or cutting: each record is read by itself, never
 * mapped. */
struct granttable_view {
    int file;
    size_t capacity;
    uint32_t last_id, begun; /* when it was opened */
};

/* Opens the file of the directory `directory`, to read it. False with the reason when there is no
 * file, or when it was not made by this build in this boot of the host, or has room for more
 * grants than there can be. */
bool granttable_open(struct granttable_view *view, int directory, struct error *why);

/* Has *view read the file `fd`, which is such a file, and which view then owns. False with the
 * reason: the caller still owns it. */
bool granttable_view(struct granttable_view *view, int fd, struct error *why);

/* Copies the record `i`, which is below `capacity`, into *grant. Where a batch has touched the
 * record, but the firewall does not have it yet, *grant is as it was before that batch. False
 * when the record holds no grant. */
bool granttable_read(const struct granttable_view *view, size_t i, struct grant *grant);

/* The same, but where a batch has touched the record, *grant is as it will be if the firewall takes
 * it. So all grants are met whose id is `last_id` or below. */
bool granttable_read_pending(const struct granttable_view *view, size_t i, struct grant *grant);

/* Copies the process ids of the programs that last changed the firewall; all 0 where the file is
 * cut. */
void granttable_restores(const struct granttable_view *view,
                         uint32_t restores[static GRANTTABLE_RESTORES]);

void granttable_close(const struct granttable_view *view);

#endif
