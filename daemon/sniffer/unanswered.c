#include "daemon/sniffer/unanswered.h"

#include <string.h>

static const struct unanswered_request *at(const struct unanswered *unanswered, unsigned i)
{
    return &unanswered->requests[(unanswered->first + i) % UNANSWERED_MAX];
}

/* An empty ring begins at its start again: few requests at a time stay in few pages. */
void unanswered_add(struct unanswered *unanswered, struct client *client,
                    const struct helper_request *message, uint64_t counter, bool is_unverified)
{
    struct unanswered_request *new;

    if (unanswered->count == 0)
        unanswered->first = 0;
    new = &unanswered->requests[(unanswered->first + unanswered->count++) % UNANSWERED_MAX];
    new->client = client;
    new->counter = counter;
    new->is_unverified = is_unverified;
    memcpy(new->request, message->request, REQUEST_SIZE);
    new->signature = message->signature;
}

const struct unanswered_request *unanswered_take_last(struct unanswered *unanswered)
{
    return at(unanswered, --unanswered->count);
}

const struct unanswered_request *unanswered_take(struct unanswered *unanswered)
{
    const struct unanswered_request *oldest = at(unanswered, 0);

    if (unanswered->count == 0)
        return NULL;
    unanswered->first = (unanswered->first + 1) % UNANSWERED_MAX;
    unanswered->count--;
    return oldest;
}

bool unanswered_has(const struct unanswered *unanswered, const struct client *client,
                    const struct helper_request *message)
{
    for (unsigned i = 0; i < unanswered->count; i++) {
        const struct unanswered_request *one = at(unanswered, i);

        if (one->client == client && memcmp(one->request, message->request, REQUEST_SIZE) == 0 &&
            memcmp(&one->signature, &message->signature, sizeof one->signature) == 0)
            return true;
    }
    return false;
}

unsigned unanswered_unverified(const struct unanswered *unanswered, const struct client *client)
{
    unsigned count = 0;

    for (unsigned i = 0; i < unanswered->count; i++)
        count += at(unanswered, i)->client == client && at(unanswered, i)->is_unverified;
    return count;
}
