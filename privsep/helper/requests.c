#include "privsep/helper/requests.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/helper/decide.h"

/* One request on its way through the batch. */
struct asked {
    struct helper_request message;
    struct request request;     /* decoded from the message */
    struct knock knock;         /* this and the decision: once the signature is verified */
    struct decision decision;
    struct mark *mark;          /* NULL until then */
    enum verdict verdict;       /* VERDICT_NONE while nothing speaks against it */
    bool is_unnoted;            /* as in an event */
    int64_t left;               /* seconds, as in an event */
    uint32_t opened[POLICY_SERVICES]; /* as in an event */
    struct grant ended[POLICY_SERVICES]; /* copies of the grants that it removed */
    size_t ended_count;
};

struct batch {
    struct asked asked[BATCH_MAX];
    size_t count;
    size_t decided; /* the changes of the requests below it are in the table */
    size_t settled; /* the changes of the requests below it are in the firewall */
};

/* ---- receive ------------------------------------------------------------ */

bool helper_request_is_canonical(const struct helper_request *message, struct request *decoded)
{
    return request_decode(decoded, message->request) && address_is_foreign(&message->observed);
}

/* Whether the other end is closed. What recv(2) returns is 0 then, as for an empty message. */
static bool has_hung_up(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

/* Receives a request, if one waits. True for a message of the right size, and nothing besides it.
 * Without room for ancillary data the kernel drops descriptors that are passed, and tells of that
 * by MSG_CTRUNC. */
static bool receive_request(int fd, struct asked *asked, enum sniffer_state *sniffer)
{
    struct iovec part = {.iov_base = &asked->message, .iov_len = sizeof asked->message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    do
        n = recvmsg(fd, &header, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        *sniffer = errno == EAGAIN ? SNIFFER_SOUND : SNIFFER_GONE;
    else if (n == 0 && !(header.msg_flags & MSG_CTRUNC) && has_hung_up(fd))
        *sniffer = SNIFFER_GONE;
    else if (n != sizeof asked->message || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
             !helper_request_is_canonical(&asked->message, &asked->request))
        *sniffer = SNIFFER_MISBEHAVES;
    else
        return true;
    return false;
}

/* ---- is it authentic, new and fresh? ------------------------------------ */

/* Whoever records a knock can have it count at each member of a group, where its counter is not
 * spent. So it has to say for which of them it is, or for which address. */
static bool is_for_this_host(const struct plan *plan, const struct request *request)
{
    return request->has_address || memcmp(request->member, plan->member, MEMBER_SIZE) == 0;
}

static enum verdict judge_time(const struct marks *marks, uint64_t counter, uint64_t now)
{
    if (counter > helper_marks_latest_timely(marks, now))
        return VERDICT_AHEAD;
    return counter < now && now - counter > marks->skew ? VERDICT_BEHIND : VERDICT_NONE;
}

/* The sniffer has looked at all of this already. The helper looks again, as the sniffer reads the
 * network and may no longer be ours. The clock comes before the counter: a new client whose clock
 * is behind is to be told of its clock. */
static enum verdict judge(const struct requests *r, struct asked *asked)
{
    const struct helper_request *message = &asked->message;
    uint64_t counter = asked->request.counter, now = clock_wall_us();
    const struct helper_profile *profile;
    enum verdict verdict;
    struct mark *mark;
    size_t at;

    profile = helper_policy_find(r->plan, message->key_id, &at);
    if (!profile)
        return VERDICT_UNKNOWN_PROFILE;
    if (!envelope_verify(&message->signature, &profile->signer, r->plan->server_public,
                         message->request))
        return VERDICT_BAD_SIGNATURE;
    mark = asked->mark = &r->marks->items[at];
    asked->knock = (struct knock){
        .profile = profile, .key_id = message->key_id, .request = &asked->request,
        .observed = &message->observed,
        .is_credible = counter <= helper_marks_latest_credible(r->marks, now)};
    helper_decide_begin(&asked->decision, &asked->knock);
    if (!is_for_this_host(r->plan, &asked->request))
        return VERDICT_OTHER_MEMBER;
    verdict = judge_time(r->marks, counter, now);
    /* A counter that is ahead is noted: else whoever recorded the knock could use it once the
     * counter is timely. */
    if (verdict == VERDICT_AHEAD)
        asked->is_unnoted = !helper_marks_refuse(r->marks, mark, counter, now);
    if (verdict != VERDICT_NONE)
        return verdict;
    if (!helper_mark_is_new(mark, counter))
        return VERDICT_REPEATED;
    helper_marks_spend(r->marks, mark, counter);
    if (asked->request.action == ACTION_CLOSE)
        helper_marks_close_at(r->marks, mark, counter, now);
    else if (helper_mark_was_closed_since(r->marks, mark, counter, now))
        return VERDICT_OVERTAKEN;
    return VERDICT_NONE;
}

/* Notes that a stage of the batch is over, if anybody wants to know. */
static void note_time(struct requests *r, enum trace_stage stage)
{
    if (r->plan->trace)
        r->trace[stage] = clock_wall_ns();
}

static void judge_all(struct requests *r, struct batch *batch)
{
    static struct log_limit said;
    struct error why;

    for (size_t i = 0; i < batch->count; i++)
        batch->asked[i].verdict = judge(r, &batch->asked[i]);
    note_time(r, TRACE_VERIFIED);
    if (helper_marks_commit(r->marks, &why))
        return;
    log_warnx_limited(&said, LINES_A_MINUTE, "knocks are refused: %s", why.text);
    for (size_t i = 0; i < batch->count; i++) {
        struct asked *asked = &batch->asked[i];

        if (asked->verdict == VERDICT_NONE)
            asked->verdict = VERDICT_NOT_RECORDED;
        asked->is_unnoted |= asked->verdict == VERDICT_AHEAD;
    }
}

/* ---- change the firewall ------------------------------------------------ */

/* Changes the firewall as the table was changed. Where a family cannot be changed, knocks that are
 * not settled yet, and are for that family, have failed. */
static void change_firewall(struct requests *r, struct batch *batch)
{
    static struct log_limit said;
    struct error why;

    if (!helper_firewall_change(r->firewall, r->grants, &why)) {
        log_warnx_limited(&said, LINES_A_MINUTE, "the firewall was not changed: %s", why.text);
        for (size_t i = batch->settled; i < batch->decided; i++) {
            struct asked *asked = &batch->asked[i];

            if (verdict_is_grant(asked->verdict) &&
                helper_firewall_is_unsure(r->firewall, address_family(&asked->decision.address)))
                asked->verdict = VERDICT_FIREWALL_FAILED;
        }
    }
    batch->settled = batch->decided;
}

/* ---- change the table --------------------------------------------------- */

/* Removes a grant, and keeps a copy, to tell of its end once its door is shut. A profile that may
 * have one grant can still have more than there is room for, of an earlier configuration: that
 * those ended is lost. */
static void remove_grant(struct requests *r, struct asked *asked, size_t at)
{
    r->grants->items[at].end = asked->decision.moves ? END_MOVED : END_KNOCK;
    if (asked->ended_count < POLICY_SERVICES)
        asked->ended[asked->ended_count++] = r->grants->items[at];
    else
        r->events->lost++;
    helper_grants_remove_at(r->grants, at);
}

static bool is_removed(const struct asked *asked, const struct grant *grant)
{
    const struct decision *decision = &asked->decision;

    if (decision->moves)
        return memcmp(grant->key_id, asked->knock.key_id, KEY_ID_SIZE) == 0;
    for (size_t i = 0; i < decision->service_count; i++)
        if (decision->verdict == VERDICT_CLOSED && decision->grants[i] == grant)
            return true;
    return false;
}

static struct grant *add_grant(struct requests *r, const struct asked *asked,
                               const struct service *service)
{
    const struct decision *decision = &asked->decision;
    const struct helper_profile *profile = asked->knock.profile;
    const struct helper_destination *destination =
        helper_policy_destination(profile, service, address_family(&decision->address));
    struct grant new = {.address = decision->address, .deadline = decision->deadline,
                        .service.protocol = service->protocol, .service.port = service->port,
                        .connections = profile->connections, .was_extended = decision->moves};

    memcpy(new.key_id, asked->knock.key_id, KEY_ID_SIZE);
    if (destination) {
        new.destination = destination->address;
        new.destination_port = destination->port;
    }
    return helper_grants_add(r->grants, &new);
}

/* Adds the grant of a service, or extends it. Counting begins for a new grant, and anew for one
 * that admits only so many connections. */
static struct grant *open_service(struct requests *r, struct asked *asked, size_t i)
{
    const struct decision *decision = &asked->decision;
    const bool is_new = !decision->grants[i];
    struct grant *grant;

    if (is_new) {
        grant = add_grant(r, asked, &decision->services[i]);
        asked->opened[i] = grant->id;
    } else {
        grant = &r->grants->items[decision->grants[i] - r->grants->items];
        helper_grants_extend(r->grants, grant, decision->deadline);
    }
    if (is_new || grant->connections)
        helper_events_begin(r->events, r->grants, grant,
                            helper_policy_is_tracked(asked->knock.profile, &grant->service));
    if (decision->signing != GRANT_OBSERVED)
        grant->signed_address = (uint16_t)decision->signing;
    if (grant->counter < decision->counter)
        grant->counter = decision->counter;
    grant_seal(grant);
    return grant;
}

/* Changes the table as it was decided. */
static void change_table(struct requests *r, struct batch *batch, struct asked *asked)
{
    const struct decision *decision = &asked->decision;
    const enum family family = address_family(&decision->address);
    int64_t first = INT64_MAX;

    for (size_t at = r->grants->count; at-- > 0;)
        if (is_removed(asked, &r->grants->items[at]))
            remove_grant(r, asked, at);
    if (decision->verdict != VERDICT_OPENED && decision->verdict != VERDICT_EXTENDED)
        return;
    if (decision->leaves_other)
        change_firewall(r, batch);
    /* This host may have no IPv6. And while the old door cannot be shut, the profile would have two
     * grants: no knock of the batch opens anything for it. */
    if (!r->plan->families[family].in_use ||
        (decision->leaves_other &&
         helper_firewall_is_unsure(r->firewall, family == IPV4 ? IPV6 : IPV4))) {
        asked->verdict = VERDICT_FIREWALL_FAILED;
        for (size_t i = batch->decided; i < batch->count && decision->leaves_other; i++)
            if (batch->asked[i].mark == asked->mark && batch->asked[i].verdict == VERDICT_NONE)
                batch->asked[i].verdict = VERDICT_FIREWALL_FAILED;
        return;
    }
    for (size_t i = 0; i < decision->service_count; i++) {
        const struct grant *grant = open_service(r, asked, i);

        if (grant->deadline < first)
            first = grant->deadline;
    }
    asked->left = (first - clock_boot_ns() + NSEC_PER_SEC / 2) / NSEC_PER_SEC;
}

/* ---- decide ------------------------------------------------------------- */

/* Decides each knock with what the knocks before it changed. Where a grant leaves one family for
 * the other, what was decided before is settled first. */
static void decide_all(struct requests *r, struct batch *batch)
{
    const struct moment now = {clock_wall_ns() / NSEC_PER_SEC, clock_boot_ns()};

    for (; batch->decided < batch->count; batch->decided++) {
        struct asked *asked = &batch->asked[batch->decided];
        struct decision *decision = &asked->decision;
        struct knock *knock = &asked->knock;

        if (asked->verdict != VERDICT_NONE)
            continue;
        knock->is_newest = asked->request.counter == asked->mark->counters[MARK_COUNTERS - 1];
        helper_decide(decision, knock, r->grants, &now);
        if (decision->leaves_other) {
            change_firewall(r, batch);
            helper_decide_begin(decision, knock);
            helper_decide(decision, knock, r->grants, &now);
        }
        asked->verdict = decision->verdict;
        change_table(r, batch, asked);
    }
}

/* ---- tell --------------------------------------------------------------- */

static bool reply(int fd, const struct asked *asked)
{
    struct helper_reply reply = {.verdict = asked->verdict};
    ssize_t n;

    if (asked->mark)
        memcpy(reply.counters, asked->mark->counters, sizeof reply.counters);
    do
        n = send(fd, &reply, sizeof reply, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    /* A sniffer that has gone is found gone at the next receive. */
    return n == sizeof reply || (errno != EAGAIN && errno != ENOBUFS);
}

/* Tells of a request, and before it of the grants that it ended. Nothing that the request says
 * counts before its signature is verified. */
static void tell_verdict(struct requests *r, const struct batch *batch, const struct asked *asked)
{
    const struct decision *decision = &asked->decision;
    struct helper_event event = {
        .kind = EVENT_VERDICT,
        .verdict = (uint8_t)asked->verdict,
        .is_close = asked->request.action == ACTION_CLOSE,
        .is_unnoted = asked->is_unnoted,
        .address = asked->mark ? decision->address : asked->message.observed,
        .observed = asked->message.observed,
        .service_count = (uint8_t)decision->service_count,
        .is_address_signed = asked->request.has_address,
        .is_cut = decision->is_cut,
        .wall = clock_wall_us(),
        .counter = asked->request.counter,
        .left = asked->left,
        .times = asked->message.times,
        .together = (uint32_t)batch->count,
    };

    r->verdicts[asked->verdict]++;
    memcpy(event.key_id, asked->message.key_id, KEY_ID_SIZE);
    memcpy(event.services, decision->services, sizeof event.services);
    memcpy(event.opened, asked->opened, sizeof event.opened);
    memcpy(event.trace, r->trace, sizeof event.trace);
    if (asked->mark)
        memcpy(event.counters, asked->mark->counters, sizeof event.counters);
    helper_events_end(r->events, asked->ended, asked->ended_count, END_NONE);
    helper_events_tell(r->events, &event);
}

/* ---- the batch ---------------------------------------------------------- */

static bool serve_batch(struct requests *r, struct batch *batch)
{
    bool is_reading = true;

    note_time(r, TRACE_RECEIVED);
    judge_all(r, batch);
    note_time(r, TRACE_MARKED);
    decide_all(r, batch);
    note_time(r, TRACE_DECIDED);
    change_firewall(r, batch);
    note_time(r, TRACE_CHANGED);
    for (size_t i = 0; i < batch->count; i++)
        is_reading = reply(r->sniffer, &batch->asked[i]) && is_reading;
    for (size_t i = 0; i < batch->count; i++)
        tell_verdict(r, batch, &batch->asked[i]);
    return is_reading;
}

enum sniffer_state helper_requests_serve(struct requests *r)
{
    enum sniffer_state sniffer = SNIFFER_SOUND;
    static struct batch batch;

    batch.count = batch.decided = batch.settled = 0;
    while (batch.count < BATCH_MAX) {
        struct asked *asked = &batch.asked[batch.count];

        memset(asked, 0, sizeof *asked);
        if (!receive_request(r->sniffer, asked, &sniffer))
            break;
        batch.count++;
    }
    if (batch.count > 0 && !serve_batch(r, &batch))
        return SNIFFER_MISBEHAVES;
    return sniffer;
}
