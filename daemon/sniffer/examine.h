/* The sniffer's judgement of what may be a knock: the cheapest check comes first, and nothing is
 * written, logged or allocated for what is not authentic. */
#ifndef PORTSMITH_EXAMINE_H
#define PORTSMITH_EXAMINE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/sniffer/counters.h"
#include "daemon/sniffer/frame.h"
#include "daemon/sniffer/clientele.h"
#include "daemon/sniffer/unanswered.h"
#include "privsep/message.h"

struct knock_limits {
    bool skew_checked;
    uint32_t max_skew; /* seconds */
};

/* True when the frame holds an authentic knock that the helper should see. *message is then
 * complete but for its times, and is the last of the unanswered requests, which must have room for
 * one. False otherwise; the reason is counted, and *message is of no use.
 *
 * Authentic is what opens with the client's envelope key. The signature of a request that looks
 * right is verified here as well if somebody seems to imitate the client, or if two of its requests
 * are unanswered that nobody has verified. */
bool knock_examine(struct helper_request *message, const struct frame *frame,
                   const struct clientele *clientele, struct unanswered *unanswered,
                   const struct knock_limits *limits, struct counters *counters);

/* Takes back what knock_examine noted last, as the request could not be sent. The client's token
 * comes back if nobody has verified the request. */
void knock_not_sent(struct unanswered *unanswered);

/* Learns from the helper's reply to the oldest unanswered request, which is answered by that: what
 * counters are spent, or that its signature is wrong. False if no request is unanswered. */
bool knock_learn(struct unanswered *unanswered, const struct helper_reply *reply);

#endif
