/* What the sniffer may ask of the helper, and the verdict on each request.
 *
 * A batch is all that waits in one wake-up. Its order is the whole point: every request is
 * judged and its counter spent; the marks are made durable once; only then each is decided and
 * the table of grants changed; then the firewall is changed, once per family; then grants are
 * stored, the sniffer has its replies, and the witness is told. What is reported open is open. */
#ifndef PORTSMITH_REQUESTS_H
#define PORTSMITH_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>

#include "privsep/helper/events.h"
#include "privsep/helper/firewall.h"
#include "privsep/helper/grants.h"
#include "privsep/helper/marks.h"
#include "privsep/helper/policy.h"
#include "privsep/message.h"

enum { BATCH_MAX = 64 };

/* What requests are held against, and what they change. */
struct requests {
    const struct plan *plan;
    struct marks *marks;
    struct grants *grants;
    struct firewall *firewall;
    struct events *events;
    int64_t trace[TRACE_STAGES]; /* of a batch, as in an event */
    int sniffer; /* SOCK_SEQPACKET; -1 once it has gone or was cut off */
    uint64_t verdicts[VERDICTS]; /* how many requests had each verdict */
};

enum sniffer_state {
    SNIFFER_SOUND,
    SNIFFER_GONE,
    SNIFFER_MISBEHAVES, /* it sent what an honest one cannot, or does not read its replies: it
                           is to be cut off */
};

/* Receives what waits, without blocking, and serves it: BATCH_MAX requests at most. Requests
 * that were received before a misbehaving one are served. */
enum sniffer_state helper_requests_serve(struct requests *requests);

/* Whether a message is one that an honest sniffer can send: the one valid encoding of
 * a request, and an address that a knock can come from. Decodes the request into *decoded. */
bool helper_request_is_canonical(const struct helper_request *message, struct request *decoded);

#endif
