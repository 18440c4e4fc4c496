#include "daemon/sniffer/examine.h"

#include <string.h>

#include "common/clock.h"

/* Whether the knock was made within MaxSkew: a counter is its client's time, in microseconds. */
static bool is_timely(const struct knock_limits *limits, uint64_t counter)
{
    uint64_t now = clock_wall_us(), distance = counter > now ? counter - now : now - counter;

    return !limits->skew_checked || distance <= (uint64_t)limits->max_skew * USEC_PER_SEC;
}

/* Opens the first knock of the frame into *message. Returns how many knocks the kernel has merged
 * into the frame, mostly 1, or 0 if the client's key does not fit. */
static unsigned open_first(struct helper_request *message, const struct frame *frame,
                           const struct client *client)
{
    for (unsigned knocks = 1; knocks <= FRAME_MERGED_MAX; knocks++) {
        size_t size = frame->size / knocks;

        if (frame->size % knocks == 0 && size >= DATAGRAM_MIN && size <= DATAGRAM_MAX &&
            envelope_open(message->request, &message->signature, client->signer.form,
                          client->envelope_key, frame->payload, size))
            return knocks;
    }
    return 0;
}

/* Opens the envelope into *message, and returns its client; NULL when no client's key fits. An
 * echo request has no port: it may be for any client. */
static struct client *open_envelope(struct helper_request *message, const struct frame *frame,
                                    const struct clientele *clientele, struct counters *counters)
{
    struct client *client;
    unsigned knocks;

    if (frame->size < DATAGRAM_MIN)
        return NULL;
    envelope_claimed_key_id(message->key_id, clientele->gate, frame->payload);
    client = clientele_find(clientele, message->key_id);
    if (!client || (frame->transport != TRANSPORT_ICMP && frame->port != client->port))
        return NULL;
    knocks = open_first(message, frame, client);
    counters->merged += knocks > 1;
    return knocks > 0 ? client : NULL;
}

/* What a request costs its client, in tokens. */
enum { HONEST_PRICE = 1, DOUBTFUL_PRICE = 8 };

/* Returns the time that buckets go by (clientele.h). */
static int64_t milliseconds(void)
{
    return clock_boot_ns() / NSEC_PER_MSEC;
}

/* Whether the helper alone may verify the signature of a request that looks right. Where doubtful
 * requests came lately, somebody may have got the client's envelope key: the helper is not to
 * verify all that he sends, and the client's tokens are not his to spend. */
static bool may_be_unverified(const struct client *client, const struct unanswered *unanswered,
                              int64_t now)
{
    enum { UNVERIFIED_MAX = 2 };

    return clientele_is_full(&client->doubtful, now) &&
           unanswered_unverified(unanswered, client) < UNVERIFIED_MAX;
}

/* Whether the client's rate allows passing the knock on. A knock that the helper will refuse is
 * passed on now and then, so that the helper can say why in the log. Replayed and forged knocks
 * never spend the tokens of the client's own: those that look right (`promising`) and are well
 * signed have a bucket to themselves. One whose signature is left to the helper (`is_unverified`)
 * takes from it, too: knock_learn gives the token back if the helper finds it forged. */
static bool is_within_rate(struct client *client, const struct helper_request *message,
                           const struct clientele *clientele, const struct unanswered *unanswered,
                           bool promising, bool *is_unverified)
{
    const int64_t now = milliseconds();

    *is_unverified = false;
    /* A signature is verified only for who could afford it to be right. */
    if (promising && clientele_has_token(&client->honest, now)) {
        *is_unverified = may_be_unverified(client, unanswered, now);
        if (*is_unverified || envelope_verify(&message->signature, &client->signer,
                                              clientele->server_public, message->request))
            return clientele_take_tokens(&client->honest, HONEST_PRICE, now);
    }
    return clientele_take_tokens(&client->doubtful, DOUBTFUL_PRICE, now);
}

bool knock_examine(struct helper_request *message, const struct frame *frame,
                   const struct clientele *clientele, struct unanswered *unanswered,
                   const struct knock_limits *limits, struct counters *counters)
{
    struct client *client = open_envelope(message, frame, clientele, counters);
    bool timely, is_unverified;
    struct request request;

    if (!client) {
        counters->garbage++;
        return false;
    }
    counters->authentic++;
    if (!request_decode(&request, message->request) || !address_is_foreign(&frame->source)) {
        counters->malformed++;
        return false;
    }
    timely = is_timely(limits, request.counter);
    counters->untimely += !timely;
    /* The same knock again is no alarm: a client makes sure that way. Another counter that is too
     * old, or one out of time, is passed on, so that the log explains it. */
    if (timely && (clientele_counter_is_repeat(client, request.counter) ||
                   unanswered_has(unanswered, client, message))) {
        counters->repeated++;
        return false;
    }
    if (!is_within_rate(client, message, clientele, unanswered,
                        timely && clientele_counter_is_new(client, request.counter),
                        &is_unverified)) {
        counters->throttled++;
        return false;
    }
    counters->elsewhere += timely && request.has_address &&
                           !address_equal(&request.address, &frame->source);
    /* A knock that is out of time may be in time later, once the clock is right. */
    unanswered_add(unanswered, client, message, timely ? request.counter : 0, is_unverified);
    message->observed = frame->source;
    return true;
}

/* An unverified request may be somebody else's, and he may be why there was no room for it. */
void knock_not_sent(struct unanswered *unanswered)
{
    const struct unanswered_request *request = unanswered_take_last(unanswered);

    if (request->is_unverified)
        clientele_return_tokens(&request->client->honest, HONEST_PRICE);
}

bool knock_learn(struct unanswered *unanswered, const struct helper_reply *reply)
{
    const struct unanswered_request *request = unanswered_take(unanswered);

    if (!request)
        return false;
    if (reply->verdict != VERDICT_BAD_SIGNATURE) {
        clientele_learn(request->client, request->counter, reply->counters);
    } else if (request->is_unverified) {
        clientele_return_tokens(&request->client->honest, HONEST_PRICE);
        clientele_take_tokens(&request->client->doubtful, DOUBTFUL_PRICE, milliseconds());
    }
    return true;
}
