/* The log lines about knocks and grants: what an event (privsep/event.h) is called in English, and
 * how many of them the log is told of (throttle.h). */
#ifndef PORTSMITH_WITNESS_WORDS_H
#define PORTSMITH_WITNESS_WORDS_H

#include "daemon/witness/clients.h"
#include "daemon/witness/ends.h"
#include "daemon/witness/throttle.h"
#include "privsep/event.h"
#include "privsep/witnessmessage.h"
#include "privsep/xtables/bell.h"

/* Each new connection walks along all rules: some 10 ns for each with iptables-nft, so
 * that this many cost as much as the rest of its way in. */
enum { CROWD = 200 };

/* It is zeroed at first, but for the clients. */
struct words {
    const struct clients *clients;
    struct throttle throttle;
    struct log_limit news_lost, events_lost; /* of the lines about those */
};

/* Logs an EVENT_VERDICT. `closed` are the grants that a knock with VERDICT_CLOSED closed. Where
 * there were many of its kind it is counted instead (throttle.h). */
void words_say_verdict(struct words *words, const struct helper_event *event,
                       const struct ending *closed);

/* Logs the end of grants, likewise; but not of those that a knock closed. */
void words_say_end(struct words *words, const struct ending *ending);

/* Logs that more than CROWD grants are live, with a rule each. */
void words_say_crowded(void);

/* Logs that connections may have come that the kernel did not tell of. */
void words_say_news_lost(struct words *words);

/* Logs that so many events did not come. */
void words_say_events_lost(struct words *words, uint32_t count);

/* Logs an EVENT_REMOVED, the `removals`th since nobody removed rules for QUIET_SECONDS, unless
 * there were too many. `ringer` is who changed nftables last. */
void words_say_removal(uint32_t removals, const struct bell_ringer *ringer);

/* Logs that nobody has removed rules for QUIET_SECONDS, if they were contested. */
void words_say_quiet(uint32_t removals);

#endif
