#include "privsep/helper/events.h"

#include <stdlib.h>
#include <string.h>

#include "privsep/helper/usage.h"
#include "privsep/helper/words.h"

void helper_event_add_end(struct helper_event *event, const struct grant *ended)
{
    enum grant_use use = ended->used ? USE_SOME : ended->is_counted ? USE_NONE : USE_UNKNOWN;
    size_t i = 0;

    while (i < event->service_count && service_compare(&event->services[i], &ended->service) != 0)
        i++;
    if (i == event->service_count && i < POLICY_SERVICES)
        event->services[event->service_count++] = ended->service;
    if (use == USE_SOME && i < POLICY_SERVICES)
        event->used |= (uint16_t)(1u << i);
    if (event->ended_count == 0 || use != USE_NONE)
        event->use = use;
    if (event->ended_count < UINT8_MAX)
        event->ended_count++;
}

static enum grant_end end_of(const struct grant *ended)
{
    enum grant_end early = helper_usage_end(ended);

    return early == END_NONE ? END_WINDOW : early;
}

/* Compares by profile, by address, and by why the grants ended. */
static int compare_ends(const struct grant *a, const struct grant *b)
{
    int order = memcmp(a->key_id, b->key_id, KEY_ID_SIZE);

    if (order == 0)
        order = memcmp(&a->address, &b->address, sizeof a->address);
    return order != 0 ? order : (int)end_of(a) - (int)end_of(b);
}

static int compare_ended(const void *a, const void *b)
{
    const struct grant *left = a, *right = b;
    int order = compare_ends(left, right);

    return order != 0 ? order : service_compare(&left->service, &right->service);
}

void helper_events_tell_lost(struct words *words, struct news *news)
{
    if (news->was_lost)
        helper_words_say(words, &(struct helper_event){.kind = EVENT_NEWS_LOST});
    news->was_lost = false;
}

void helper_events_tell_ends(struct words *words, struct grant *ended, size_t count,
                             enum grant_end why)
{
    size_t next = 0;

    qsort(ended, count, sizeof *ended, compare_ended);
    while (next < count) {
        const struct grant *first = &ended[next];
        struct helper_event event = {.kind = EVENT_ENDED,
                                     .end = why == END_NONE ? end_of(first) : why,
                                     .address = first->address};

        memcpy(event.key_id, first->key_id, KEY_ID_SIZE);
        do
            helper_event_add_end(&event, &ended[next++]);
        while (next < count && event.service_count < POLICY_SERVICES &&
               compare_ends(first, &ended[next]) == 0);
        helper_words_say(words, &event);
    }
}
