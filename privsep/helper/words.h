/* The log lines about knocks and grants: what an event (events.h) is called in English, and
 * how many of them the log is told of (throttle.h). */
#ifndef PORTSMITH_WORDS_H
#define PORTSMITH_WORDS_H

#include "common/error.h"
#include "privsep/helper/events.h"
#include "privsep/helper/policy.h"
#include "privsep/helper/throttle.h"

/* It is zeroed at first, but for the policy, which has the names of the profiles. */
struct words {
    const struct policy *policy;
    struct throttle throttle;
    struct log_limit news_lost; /* of the lines about EVENT_NEWS_LOST */
};

/* Logs an event. Where there were many of its kind it is counted instead (throttle.h). */
void helper_words_say(struct words *words, const struct helper_event *event);

/* Logs why all requests of a batch get VERDICT_NOT_RECORDED, or those of a family
 * VERDICT_FIREWALL_FAILED. The line counts as one of the refusals with that verdict, and is left
 * out where there were many. */
void helper_words_say_failure(struct words *words, enum verdict verdict, const struct error *why);

#endif
