/* The life of the witness. */
#ifndef PORTSMITH_WITNESS_WITNESS_H
#define PORTSMITH_WITNESS_WITNESS_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/witness/clients.h"
#include "daemon/witness/ends.h"
#include "daemon/witness/news.h"
#include "daemon/witness/usage.h"
#include "daemon/witness/words.h"
#include "privsep/event.h"
#include "privsep/grantfile.h"
#include "privsep/granttable.h"
#include "privsep/xtables/bell.h"

struct witness {
    struct clients clients;
    struct words words;
    struct usage usage;
    struct news news;
    struct granttable_view table;
    int supervisor, helper, bell; /* -1: closed, or there is none */
    struct bell_ringer ringer;    /* who changed nftables last */
    bool must_look;    /* the helper is to look at the rules */
    bool may_hush;     /* the helper may be listening for news */
    bool must_follow;  /* the table of grants is to be read again */
    bool has_no_crowd; /* of rules: grants are elements of a set, or a crowd was told of */
    bool is_stuffed;   /* the helper's socket had no room for a word */
    int64_t ask_until; /* until when the question that was asked may take; 0: none was */
    uint32_t removals; /* of our rules, since nobody removed any for QUIET_SECONDS */
    int64_t quiet_at;  /* when nobody has removed any for so long; 0: nobody has */
    int64_t ask_at;    /* when the supervisor may be asked again, though it has not answered the
                          last question, or has said that it is too early; 0: now */
    bool counts;       /* some grants may admit only so many connections */
    int64_t rest_until; /* until when events and news gather; 0: they are heard at once */
    int64_t tell_at;   /* when to tell of `ended` even if not all have come; 0: there are none */
    struct ended *ended; /* grants that have ended together, and were not told of yet */
    size_t ended_count;
    struct ending closed; /* by the knock whose verdict follows */
};

/* Whether a message of this size is an event that a sound helper sends: kinds, reasons and counts
 * in range. */
bool witness_event_is_sound(const struct helper_event *event, size_t size);

/* Takes an event that is sound: words it for the log, or puts it with those that are to be told
 * together. */
void witness_take_event(struct witness *w, const struct helper_event *event);

/* Serves until the supervisor hangs up. What the process inherited is as in event.h. */
_Noreturn void witness_run(void);

#endif
