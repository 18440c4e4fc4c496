/* Whether grants are used: which connections came in through each. The kernel tells of each
 * connection as it is made (news.h), for as long as there is a grant that waits for one: a
 * grant that was not used yet, or one that admits only so many connections.
 *
 * That one of the latter begins is told before its rule is in force. Any other may be used before
 * its EVENT_VERDICT tells of it. But its id is in the table of grants before its rule is in force,
 * and connections that come from then on are kept until it is told whose that is.
 *
 * What is known of each lies in the file of uses (privsep/uses.h), which outlives the witness. A
 * grant that admits only so many, and of whose connections some may not have been told, is asked
 * for: the kernel then tells of all that there are. Those that are known are told apart by their
 * numbers. */
#ifndef PORTSMITH_WITNESS_USAGE_H
#define PORTSMITH_WITNESS_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/witness/clients.h"
#include "daemon/witness/ends.h"
#include "privsep/event.h"
#include "privsep/flows.h"
#include "privsep/grantfile.h"
#include "privsep/granttable.h"
#include "privsep/uses.h"

enum watch_state {
    WATCH_NONE,   /* this place is free */
    WATCH_BLIND,  /* whether connections came is not known */
    WATCH_BEGINS, /* its mark in the news has not come yet: what comes until then does not count */
    WATCH_COUNTS,
};

/* A live grant. */
struct watch {
    uint32_t id, allowance, connections; /* as in struct grant */
    uint32_t begun;     /* WATCH_BEGINS: the number of its mark */
    int64_t begun_at;   /* CLOCK_BOOTTIME, nanoseconds */
    uint8_t key_id[KEY_ID_SIZE];
    struct address address;
    struct service service; /* its port is 0 as long as it is known only from the file of uses */
    uint8_t state;      /* enum watch_state */
    bool must_ask;      /* connections may have come that the kernel did not tell of */
    bool must_end, is_end_told; /* the helper is to end it; was told to */
    uint8_t absences;   /* how often, one after another, it was not in the table of grants */
};

enum { EARLY_MAX = 128 /* twice what a batch of the helper's opens, with a service each */ };

/* A connection that came when `last_id` was that of the table, which was not told yet. */
struct early {
    struct flow flow;
    uint32_t last_id;
};

struct usage {
    struct watch *watches; /* `capacity` of them */
    struct use *uses;      /* of each watch, in the file */
    size_t capacity;
    size_t top;            /* no watch is at or above it */
    const struct clients *clients;
    const struct granttable_view *table;
    uint32_t begun;        /* of the last EVENT_BEGUN that was read */
    uint32_t told;         /* of all grants up to this id the verdict was read */
    uint32_t lost;         /* through grants up to this id connections may have come that nobody
                              knows of */
    struct early early[EARLY_MAX];
    size_t early_count;
    uint32_t asked, asked_allowance; /* the grant that was asked for; 0: none */
    bool ask_again;        /* news were lost meanwhile */
    size_t asked_at;       /* the place of the grant that was asked for last */
};

/* Maps the file of uses `file`, which has room for `capacity` of them, and goes on with what an
 * earlier witness has written there. `table`, which is open then, stays so. False with the
 * reason. */
bool usage_open(struct usage *usage, const struct clients *clients,
                const struct granttable_view *table, int file, size_t capacity,
                struct error *why);

/* Watches the grants of the table. One that no event told of was there before this witness, or the
 * event was lost: where no earlier witness has written it down, it is asked for if it admits only
 * so many connections. One that is not in the table is forgotten if it is not there
 * the next time either: the event that it has ended may be under way. */
void usage_follow_table(struct usage *usage);

/* Begins to count for a grant, as an EVENT_BEGUN says, at its mark. False if there are more grants
 * than there is room for. */
bool usage_begin(struct usage *usage, const struct helper_event *event, int64_t now);

/* Begins to count for the grants that an EVENT_VERDICT has opened, with the connections that have
 * come by now. False likewise. */
bool usage_begin_opened(struct usage *usage, const struct helper_event *event);

/* Notes a mark in the news. False if its event was not read yet. */
bool usage_pass_mark(struct usage *usage, uint32_t begun);

/* Counts a connection, which the kernel tells of by itself. */
void usage_count(struct usage *usage, const struct flow *flow);

/* Notes that connections may have come that the kernel did not tell of. */
void usage_lose_news(struct usage *usage);

/* Counts what the kernel says when it is asked for the grant `id`. */
void usage_count_answer(struct usage *usage, uint32_t id, const struct flow *flow);

/* Ends the question about the grant `id`, if that was asked for. Without an answer the grant is to
 * end. */
void usage_end_question(struct usage *usage, uint32_t id, bool is_answered);

/* Puts the question about the grant `id` off, if that was asked for: nobody could be asked. */
void usage_put_off_question(struct usage *usage, uint32_t id);

/* Returns the grant to be asked for next, or 0: none is, or one was asked and has no answer yet.
 * All have their turn, however often news are lost. */
uint32_t usage_next_question(const struct usage *usage);

/* Notes that it was asked for. */
void usage_ask(struct usage *usage, uint32_t id);

/* Forgets a grant, as an EVENT_ENDED says, and says in *ended what is known of it. */
void usage_end(struct usage *usage, const struct helper_event *event, struct ended *ended);

/* Gives up waiting for marks that should have come before `now`, less a second: those grants are
 * asked for, or nothing is known of them. Returns when to look again; INT64_MAX: no grant waits for
 * a mark. CLOCK_BOOTTIME, nanoseconds. */
int64_t usage_give_up_marks(struct usage *usage, int64_t now);

/* Writes the next word that the helper is to be told: the end of a grant. NULL: there is none.
 * Else the caller sets is_end_told of what is returned once the helper was told. */
struct watch *usage_next_end(const struct usage *usage, struct witness_word *word);

/* Returns how many grants are live. */
size_t usage_live(const struct usage *usage);

/* Whether a grant waits for a connection. */
bool usage_waits(const struct usage *usage);

#endif
