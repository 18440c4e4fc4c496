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
    struct policy_entry *entry; /* NULL: no such profile */
    struct mark *mark;          /* NULL until the signature is verified */
    enum verdict verdict;       /* VERDICT_NONE while nothing speaks against it */
    enum refusal refusal;
    struct decision decision;   /* not begun before the signature is verified */
    int64_t left;               /* seconds, as in an event */
    struct grant *ended;        /* the grants that it removed, in the batch's list */
    size_t ended_count;
};

/* What one family's chains are to be changed for. */
struct pending {
    bool insert;  /* rules are to be added */
    bool rewrite; /* rules are to be changed or removed */
};

struct batch {
    struct asked asked[BATCH_MAX];
    size_t count;
    size_t decided; /* the changes of the requests below it are in the table */
    size_t settled; /* the changes of the requests below it are in the firewall */
    struct pending pending[FAMILIES];
    struct grant ended[BATCH_MAX * POLICY_SERVICES]; /* copies of grants that knocks removed */
    size_t ended_count;
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

static struct knock knock_of(const struct requests *r, const struct asked *asked)
{
    return (struct knock){
        .of = asked->entry,
        .request = &asked->request,
        .observed = &asked->message.observed,
        .is_newest = asked->request.counter == asked->mark->counters[MARK_COUNTERS - 1],
        .is_credible = r->policy->setup.skew_checked || asked->request.counter <= clock_wall_us(),
    };
}

static enum verdict judge_time(const struct helper_setup *setup, uint64_t counter, uint64_t now)
{
    uint64_t skew = (uint64_t)setup->max_skew * USEC_PER_SEC;

    if (!setup->skew_checked)
        return VERDICT_NONE;
    if (counter > now && counter - now > skew)
        return VERDICT_AHEAD;
    if (counter < now && now - counter > skew)
        return VERDICT_BEHIND;
    return VERDICT_NONE;
}

/* Returns why a counter is not new. A counter below all that the mark counts was not always
 * spent: the mark may begin late, as the client's clock is behind, or was ahead. */
static enum refusal explain_repetition(const struct mark *mark, uint64_t counter, uint64_t now,
                                       int64_t *left)
{
    uint64_t lowest = mark->counters[0];

    if (helper_mark_refuses(mark, counter))
        return REFUSAL_KEPT;
    if (lowest == UINT64_MAX)
        return REFUSAL_DAMAGED;
    if (counter > lowest)
        return REFUSAL_USED;
    *left = (int64_t)((lowest - counter) / USEC_PER_SEC) + 1;
    if (helper_mark_is_unspent(mark))
        return REFUSAL_OF_FLOOR;
    return lowest > now ? REFUSAL_SINCE_AHEAD : REFUSAL_USED;
}

/* The sniffer has looked at all of this already. The helper looks again, as the sniffer reads the
 * network and may no longer be ours. The clock comes before the counter: a new client whose clock
 * is behind is to be told of its clock. */
static enum verdict judge(const struct requests *r, struct asked *asked)
{
    const struct helper_request *message = &asked->message;
    uint64_t counter = asked->request.counter, now = clock_wall_us();
    enum verdict verdict;
    struct knock knock;
    struct mark *mark;

    asked->entry = helper_policy_find(r->policy, message->key_id);
    if (!asked->entry)
        return VERDICT_UNKNOWN_PROFILE;
    if (!envelope_verify(message->signature, asked->entry->profile->public_key,
                         r->policy->setup.server_public, message->request))
        return VERDICT_BAD_SIGNATURE;
    mark = asked->mark = &r->marks->items[asked->entry - r->policy->entries];
    knock = knock_of(r, asked);
    helper_decide_begin(&asked->decision, &knock);
    verdict = judge_time(&r->policy->setup, counter, now);
    if (verdict != VERDICT_NONE) {
        /* A counter that is ahead is noted: else whoever recorded the knock could use it once the
         * counter is timely. */
        bool is_noted = verdict == VERDICT_BEHIND ||
                        helper_marks_refuse(r->marks, mark, counter, now);

        asked->refusal = is_noted ? REFUSAL_OF_CLOCK : REFUSAL_UNNOTED;
        return verdict;
    }
    if (!helper_mark_is_new(mark, counter)) {
        asked->refusal = explain_repetition(mark, counter, now, &asked->left);
        return VERDICT_REPEATED;
    }
    helper_marks_spend(r->marks, mark, counter);
    if (asked->request.action == ACTION_CLOSE) {
        helper_marks_close_at(r->marks, mark, counter, now);
    } else if (helper_mark_was_closed_since(r->marks, mark, counter, now)) {
        asked->refusal = REFUSAL_CLOSED_SINCE;
        return VERDICT_OVERTAKEN;
    }
    return VERDICT_NONE;
}

/* Notes that a stage of the batch is over, if anybody wants to know. */
static void note_time(struct requests *r, enum trace_stage stage)
{
    if (r->policy->setup.trace)
        r->trace[stage] = clock_wall_ns();
}

static void judge_all(struct requests *r, struct batch *batch)
{
    struct error why;

    for (size_t i = 0; i < batch->count; i++)
        batch->asked[i].verdict = judge(r, &batch->asked[i]);
    note_time(r, TRACE_VERIFIED);
    if (helper_marks_commit(r->marks, &why))
        return;
    log_warnx_limited(&r->failures[VERDICT_NOT_RECORDED], LINES_A_MINUTE,
                      "knocks are refused: %s", why.text);
    for (size_t i = 0; i < batch->count; i++) {
        struct asked *asked = &batch->asked[i];

        if (asked->verdict == VERDICT_NONE)
            asked->verdict = VERDICT_NOT_RECORDED;
        if (asked->verdict == VERDICT_AHEAD)
            asked->refusal = REFUSAL_UNNOTED;
    }
}

/* ---- change the firewall ------------------------------------------------ */

static bool change_firewall(struct requests *r, enum family family, const struct pending *pending)
{
    struct firewall *fw = r->firewall;
    struct error why;
    bool done;

    if (!pending->insert && !pending->rewrite)
        return true;
    if (!fw->xtables.in_use[family])
        done = error_set(&why, "this host has no IPv6");
    else if (pending->rewrite || fw->unsure[family])
        done = helper_firewall_rewrite(fw, family, r->grants, &why);
    else
        done = helper_firewall_insert(fw, family, r->grants, &why);
    if (!done)
        log_warnx_limited(&r->failures[VERDICT_FIREWALL_FAILED], LINES_A_MINUTE,
                          "the firewall was not changed: %s", why.text);
    helper_grants_settle(r->grants, family, done);
    if (!fw->xtables.in_use[family]) /* there is no firewall to tell of what is gone */
        helper_grants_forget_gone(r->grants, family);
    return done;
}

/* Changes one family's firewall. Where it cannot be changed, knocks that are not settled yet, and
 * are for that family, have failed. */
static bool settle(struct requests *r, struct batch *batch, enum family family)
{
    const bool done = change_firewall(r, family, &batch->pending[family]);

    batch->pending[family] = (struct pending){0};
    for (size_t i = batch->settled; i < batch->decided && !done; i++) {
        struct asked *asked = &batch->asked[i];

        if (verdict_is_grant(asked->verdict) &&
            address_family(&asked->decision.address) == family)
            asked->verdict = VERDICT_FIREWALL_FAILED;
    }
    return done;
}

static void change_firewalls(struct requests *r, struct batch *batch)
{
    settle(r, batch, IPV4);
    settle(r, batch, IPV6);
    batch->settled = batch->decided;
}

/* ---- change the table --------------------------------------------------- */

/* Removes a grant, and keeps a copy, to tell of its end once its door is shut. A profile that may
 * have one grant can still have more than there is room for, of an earlier configuration: that
 * those ended is lost. */
static void remove_grant(struct requests *r, struct batch *batch, struct asked *asked, size_t at)
{
    const struct grant *grant = &r->grants->items[at];

    batch->pending[address_family(&grant->address)].rewrite = true;
    if (asked->ended_count < POLICY_SERVICES) {
        if (asked->ended_count++ == 0)
            asked->ended = &batch->ended[batch->ended_count];
        batch->ended[batch->ended_count++] = *grant;
    } else {
        r->events->lost++;
    }
    helper_grants_remove_at(r->grants, at);
}

/* Notes in a grant what the knock says that opens or extends it. Counting begins for a new grant,
 * and anew for one that admits only so many connections. */
static void note_knock(struct requests *r, const struct asked *asked, struct grant *grant,
                       bool is_new)
{
    const struct decision *decision = &asked->decision;

    if (is_new || grant->connections)
        helper_events_begin(r->events, r->grants, grant,
                            helper_policy_is_tracked(asked->entry->profile, &grant->service));
    if (decision->signing != GRANT_OBSERVED)
        grant->signed_address = (uint16_t)decision->signing;
    if (grant->counter < decision->counter)
        grant->counter = decision->counter;
    grant_seal(grant);
}

static struct grant *add_grant(struct requests *r, const struct asked *asked,
                               const struct change *change)
{
    const struct decision *decision = &asked->decision;
    struct grant new = {.address = decision->address, .deadline = decision->deadline,
                        .service.protocol = change->service.protocol,
                        .service.port = change->service.port,
                        .connections = asked->entry->profile->connections};

    memcpy(new.key_id, asked->entry->key_id, KEY_ID_SIZE);
    if (change->destination) {
        new.destination = change->destination->address;
        new.destination_port = change->destination->port;
    }
    return helper_grants_add(r->grants, &new);
}

static void change_table(struct requests *r, struct batch *batch, struct asked *asked)
{
    const struct decision *decision = &asked->decision;
    enum family family = address_family(&decision->address);
    struct pending *pending = &batch->pending[family];
    const struct grant *left = NULL;
    int64_t first = INT64_MAX;

    while (decision->moves &&
           (left = helper_grants_next_of(r->grants, asked->entry->key_id, NULL)))
        remove_grant(r, batch, asked, (size_t)(left - r->grants->items));
    /* While the old rule cannot be removed, the profile would have two grants: no knock of the
     * batch opens anything for it. */
    if (decision->leaves_other && !settle(r, batch, family == IPV4 ? IPV6 : IPV4)) {
        for (size_t i = batch->decided; i < batch->count; i++)
            if (batch->asked[i].entry == asked->entry &&
                (i == batch->decided || batch->asked[i].verdict == VERDICT_NONE))
                batch->asked[i].verdict = VERDICT_FIREWALL_FAILED;
        return;
    }
    for (size_t i = 0; i < decision->change_count; i++) {
        const struct change *change = &decision->changes[i];
        struct grant *grant;

        if (change->kind == CHANGE_REMOVE) {
            remove_grant(r, batch, asked, change->at);
            continue;
        }
        if (change->kind == CHANGE_ADD) {
            grant = add_grant(r, asked, change);
        } else {
            grant = &r->grants->items[change->at];
            helper_grants_extend(r->grants, grant, decision->deadline);
            if (grant->connections)
                grant->allowance++;
            pending->rewrite |= helper_firewall_is_rule(r->firewall, grant);
        }
        note_knock(r, asked, grant, change->kind == CHANGE_ADD);
        pending->insert = true;
        if (grant->deadline < first)
            first = grant->deadline;
    }
    if (first != INT64_MAX)
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
        struct knock knock;

        if (asked->verdict != VERDICT_NONE)
            continue;
        knock = knock_of(r, asked);
        helper_decide(decision, &knock, r->grants, &now);
        if (decision->leaves_other) {
            change_firewalls(r, batch);
            helper_decide_begin(decision, &knock);
            helper_decide(decision, &knock, r->grants, &now);
        }
        asked->verdict = decision->verdict;
        asked->refusal = decision->refusal;
        change_table(r, batch, asked);
    }
}

/* ---- tell --------------------------------------------------------------- */

static bool reply(int fd, const struct asked *asked)
{
    struct helper_reply reply = {.verdict = asked->verdict};
    ssize_t n;

    memcpy(reply.key_id, asked->message.key_id, KEY_ID_SIZE);
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
        .refusal = (uint8_t)asked->refusal,
        .address = asked->mark ? decision->address : asked->message.observed,
        .observed = asked->message.observed,
        .service_count = decision->service_count,
        .is_address_signed = asked->request.has_address,
        .is_cut = decision->is_cut,
        .wall = clock_wall_ns() / NSEC_PER_SEC,
        .left = asked->left,
        .ahead = (int64_t)(asked->request.counter - clock_wall_us()) / USEC_PER_SEC,
        .times = asked->message.times,
        .together = (uint32_t)batch->count,
    };

    memcpy(event.key_id, asked->message.key_id, KEY_ID_SIZE);
    memcpy(event.services, decision->services, sizeof event.services);
    memcpy(event.trace, r->trace, sizeof event.trace);
    helper_events_end(r->events, asked->ended, asked->ended_count,
                      decision->moves ? END_MOVED : END_KNOCK);
    helper_events_tell(r->events, &event);
}

static void tell_all(struct requests *r, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        tell_verdict(r, batch, &batch->asked[i]);
    if (r->is_crowded || r->firewall->uses_set || r->grants->count <= CROWD)
        return;
    r->is_crowded = true;
    helper_events_tell(r->events, &(struct helper_event){.kind = EVENT_CROWDED});
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
    change_firewalls(r, batch);
    note_time(r, TRACE_CHANGED);
    for (size_t i = 0; i < batch->count; i++)
        r->verdicts[batch->asked[i].verdict]++;
    for (size_t i = 0; i < batch->count; i++)
        is_reading = reply(r->sniffer, &batch->asked[i]) && is_reading;
    tell_all(r, batch);
    return is_reading;
}

enum sniffer_state helper_requests_serve(struct requests *r)
{
    enum sniffer_state sniffer = SNIFFER_SOUND;
    static struct batch batch;

    batch.count = batch.decided = batch.settled = batch.ended_count = 0;
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
