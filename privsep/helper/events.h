/* What the helper tells the witness, and what that may say (privsep/event.h). Nothing here waits:
 * what does not fit into the witness's socket is lost, and the next event says how much was. */
#ifndef PORTSMITH_EVENTS_H
#define PORTSMITH_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "privsep/event.h"
#include "privsep/helper/grants.h"

struct events {
    int witness;       /* SOCK_SEQPACKET; -1 once the witness has gone */
    int news;          /* HELPER_FD_NEWS */
    bool is_listening; /* this helper has joined the kernel's group */
    bool is_unwitnessed; /* a grant that admits only so many connections began, and nobody counts
                            them: all such grants are to end */
    uint32_t lost;     /* events, since one was sent */
};

/* Tells what happened, but for `lost` and `is_listening`, which are added. False if it is lost. */
bool helper_events_tell(struct events *events, struct helper_event *event);

/* Prepares for a grant of the table to be opened, or to admit connections anew. `is_tracked` says
 * whether the kernel tracks connections to its service. If it admits only so many this is told, and
 * if they cannot be counted, it ends now. Of any other grant its EVENT_VERDICT tells. */
void helper_events_begin(struct events *events, struct grants *grants, struct grant *grant,
                         bool is_tracked);

/* Tells of `count` grants that have ended, together. With `why` END_NONE each says itself why it
 * ended. */
void helper_events_end(struct events *events, const struct grant *ended, size_t count,
                       enum grant_end why);

/* Joins the kernel's group. False where this host has none. */
bool helper_events_listen(struct events *events);

/* Leaves the kernel's group, unless there was a grant after `last_id`. */
void helper_events_hush(struct events *events, const struct grants *grants, uint32_t last_id);

/* Ends the grant of the table which a WORD_END means, if the witness may end it: that has its
 * deadline now. */
void helper_events_obey(struct grants *grants, const struct witness_word *word);

/* Ends all grants that admit only so many connections. */
void helper_events_end_unwitnessed(struct events *events, struct grants *grants);

/* Receives a word, if one waits. A witness that has gone, or says what none can, is not heard or
 * told of any more: events->witness is -1 then. */
bool helper_events_hear(struct events *events, struct witness_word *word);

#endif
