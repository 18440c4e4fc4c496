#include "privsep/helper/events.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool helper_events_tell(struct events *events, struct helper_event *event)
{
    event->is_listening = events->is_listening;
    event->lost = events->lost++;
    if (send(events->witness, event, sizeof *event, MSG_DONTWAIT | MSG_NOSIGNAL) ==
        (ssize_t)sizeof *event)
        events->lost = 0;
    return events->lost == 0;
}

static struct helper_event event_of(enum event_kind kind, const struct grant *grant)
{
    struct helper_event event = {.kind = (uint8_t)kind, .id = grant->id, .address = grant->address,
                                 .services = {grant->service}, .service_count = 1};

    memcpy(event.key_id, grant->key_id, KEY_ID_SIZE);
    return event;
}

/* ---- news of connections ------------------------------------------------ */

static bool set_membership(const struct events *events, int change)
{
    const int group = NFNLGRP_CONNTRACK_UPDATE;

    return setsockopt(events->news, SOL_NETLINK, change, &group, sizeof group) == 0;
}

bool helper_events_listen(struct events *events)
{
    if (!events->is_listening)
        events->is_listening = set_membership(events, NETLINK_ADD_MEMBERSHIP);
    return events->is_listening;
}

void helper_events_hush(struct events *events, const struct grants *grants, uint32_t last_id)
{
    if (last_id != grants->table->last_id)
        return;
    set_membership(events, NETLINK_DROP_MEMBERSHIP);
    events->is_listening = false;
}

/* Has the kernel put a mark into the news: its acknowledgement of nothing. */
static bool mark_news(const struct events *events, uint32_t begun)
{
    const struct nlmsghdr nothing = {.nlmsg_len = sizeof nothing, .nlmsg_type = NLMSG_NOOP,
                                     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = begun};

    return send(events->news, &nothing, sizeof nothing, MSG_DONTWAIT) == (ssize_t)sizeof nothing;
}

/* ---- grants ------------------------------------------------------------- */

void helper_events_begin(struct events *events, struct grants *grants, struct grant *grant,
                         bool is_tracked)
{
    struct helper_event event = event_of(EVENT_BEGUN, grant);
    const bool is_heard = is_tracked && helper_events_listen(events);

    if (grant->connections == 0)
        return;
    grant->allowance++;
    grant->end = END_NONE;
    grant_seal(grant);
    if (++grants->table->begun == 0) /* which is the number of news */
        grants->table->begun = 1;
    event.begun = grants->table->begun;
    event.allowance = grant->allowance;
    event.connections = (uint16_t)grant->connections;
    if (is_heard && helper_events_tell(events, &event) && mark_news(events, event.begun))
        return;
    helper_grants_end(grants, grant, END_UNWITNESSED);
    events->is_unwitnessed = true;
}

void helper_events_end(struct events *events, const struct grant *ended, size_t count,
                       enum grant_end why)
{
    for (size_t i = 0; i < count; i++) {
        struct helper_event event = event_of(EVENT_ENDED, &ended[i]);

        event.end = (uint8_t)(why ? why : ended[i].end ? ended[i].end : END_WINDOW);
        event.is_more = i + 1 < count;
        helper_events_tell(events, &event);
    }
}

void helper_events_end_unwitnessed(struct events *events, struct grants *grants)
{
    for (size_t i = 0; i < grants->count; i++)
        if (grants->items[i].connections)
            helper_grants_end(grants, &grants->items[i], END_UNWITNESSED);
    events->is_unwitnessed = false;
}

/* ---- words -------------------------------------------------------------- */

void helper_events_obey(struct grants *grants, const struct witness_word *word)
{
    for (size_t i = 0; i < grants->count; i++) {
        struct grant *grant = &grants->items[i];

        if (grant->id == word->id && grant->connections &&
            (uint16_t)grant->allowance == word->allowance)
            helper_grants_end(grants, grant, END_COUNTED);
    }
}

static bool is_sound(const struct witness_word *word)
{
    return word->kind >= WORD_END && word->kind <= WORD_LOOK && word->zero == 0;
}

bool helper_events_hear(struct events *events, struct witness_word *word)
{
    ssize_t n = recv(events->witness, word, sizeof *word, MSG_DONTWAIT | MSG_TRUNC);

    if (n == sizeof *word && is_sound(word))
        return true;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    close(events->witness);
    events->witness = -1;
    events->is_unwitnessed = true;
    return false;
}
