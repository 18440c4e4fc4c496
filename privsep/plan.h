/* The plan: all that the helper holds to, as portsmith-prepare has received, checked and compiled
 * it. It lies in a memfd that is sealed before the helper begins: nobody can change it, the helper
 * included. The helper and the witness map it. Supervisor, prepare, helper and witness are one
 * build on one host, so it is as it lies in memory; what it refers to in itself is an offset.
 *
 * The supervisor makes the memfd (memfile.h, mode 0600) and leaves it open in prepare, and,
 * once the helper is ready and the seals are all there, in the witness. */
#ifndef PORTSMITH_PLAN_H
#define PORTSMITH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "privsep/message.h"
#include "privsep/rules.h"

/* A part of the plan. */
struct part {
    uint32_t at;   /* bytes from the plan's beginning */
    uint32_t size; /* bytes */
};

/* A profile in the plan's list, which is ascending by key id. */
struct plan_profile {
    uint8_t key_id[KEY_ID_SIZE];
    struct part profile; /* struct helper_profile, cut to helper_profile_size */
};

/* Orders about the sets of one family (privsep/xtables/ipset.h). */
enum plan_order {
    ORDER_MAKE, /* the family's set */
    ORDER_MAKE_NEXT, /* the one that is filled anew */
    ORDER_SWAP,
    ORDER_DESTROY,
    ORDER_DESTROY_NEXT,
    ORDER_PUT, /* an element, which is to be filled in */
    ORDER_PUT_NEXT,
    ORDER_TAKE_OUT,
    PLAN_ORDERS
};

/* What the firewall's writer needs of one family. A part that is text ends with a zero. */
struct plan_family {
    uint32_t in_use;  /* 1 or 0 */
    struct part path; /* of the restore program, absolute */
    struct part texts[RULES_TEXTS];
    struct part orders[PLAN_ORDERS];
};

/* What the firewall's writer needs with BACKEND_NFTABLES; else all is zero. */
struct plan_table {
    struct part messages; /* of a batch that makes the table anew, without grants */
    struct part over;  /* with these in the place of the first `over_head` bytes, one whose chains
                          the kernel goes on calling meanwhile. Nothing: only anew */
    uint32_t over_head;
    uint32_t owned;    /* 1: nobody but who has HELPER_FD_TABLE can change it */
    uint32_t destroys; /* 1: the kernel has NFT_MSG_DESTROYSETELEM */
    uint32_t sends_on; /* 1: a profile has destinations */
};

struct plan {
    char magic[8]; /* plan_magic */
    uint32_t size; /* bytes, all of it */
    uint32_t marks_at; /* a page's beginning: struct mark, for each profile one, in their order.
                          The helper maps these pages for itself alone, to change them */
    uint32_t backend, grant_store; /* as probed */
    uint32_t max_grants; /* live grants in all */
    uint32_t max_skew;   /* seconds; 0: any */
    uint64_t skew;       /* no knock counts that is so many microseconds, or more, away from the
                            clock; UINT64_MAX: all count */
    uint8_t foreground, debug, trace; /* as in the setup (setup.h) */
    uint8_t counts;      /* 1: some profile's grants admit only so many connections */
    uint8_t server_public[KEY_SIZE];
    uint8_t member[MEMBER_SIZE]; /* as in the setup */
    uint32_t profile_count;
    struct part profiles; /* struct plan_profile, profile_count of them */
    struct part filter;   /* struct sock_filter: the helper's own, narrower than prepare's */
    struct plan_family families[FAMILIES];
    struct plan_table table;
};

extern const char plan_magic[8];

/* Seals that the plan has. */
#define PLAN_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Maps a plan, to be read. NULL with the reason: it is not sealed, or not of this build. It stays
 * mapped as long as the process lives. */
const struct plan *plan_map(int fd, struct error *why);

/* Returns a part, and how many elements of `each` bytes it has in *count (which may be NULL). */
const void *plan_part(const struct plan *plan, const struct part *part, size_t each, size_t *count);

#endif
