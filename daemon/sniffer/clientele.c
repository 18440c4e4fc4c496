#include "daemon/sniffer/clientele.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

enum { BURST = 32, TOKEN_MS = 125 /* so a second earns eight tokens */ };

/* The index is all of the clientele that garbage meets, so it is small enough to stay in the
 * processor's cache. The entry of an empty place is 0. Any other entry holds, in the bits of the
 * mask, the client's number + 1, and in the bits above some bits of the client's key id. These
 * turn nearly all other key ids away. A client's first place comes from its key id, too, which is
 * a hash and so as good as random. The index is never more than half full: the number fits into
 * the mask, and each search ends at an empty place. */
struct search {
    size_t place;
    uint32_t tag; /* the bits that an entry of this key id has above the mask */
};

/* Where a search for the key id begins. */
static struct search search_for(const struct clientele *clientele, const uint8_t *key_id)
{
    uint64_t id;

    memcpy(&id, key_id, sizeof id);
    return (struct search){.place = (uint32_t)id & clientele->mask,
                           .tag = (uint32_t)(id >> 32) & ~clientele->mask};
}

void clientele_add(struct clientele *clientele, const struct sniffer_profile *profile)
{
    struct search at = search_for(clientele, profile->key_id);
    struct client *client = &clientele->clients[clientele->count++];

    while (clientele->index[at.place] != 0)
        at.place = (at.place + 1) & clientele->mask;
    clientele->index[at.place] = at.tag | clientele->count;
    memcpy(client->key_id, profile->key_id, KEY_ID_SIZE);
    memcpy(client->envelope_key, profile->envelope_key, KEY_SIZE);
    client->signer = profile->signer;
    client->port = profile->port;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = sodium_allocarray(count, size);

    return memory ? memset(memory, 0, count * size) : NULL;
}

bool clientele_create(struct clientele *clientele, size_t profiles,
                      const uint8_t server_public[static KEY_SIZE], struct error *why)
{
    size_t places = 2;

    while (places < profiles * 2)
        places *= 2;
    clientele->mask = (uint32_t)(places - 1);
    clientele->index = allocate(places, sizeof *clientele->index);
    clientele->clients = allocate(profiles, sizeof *clientele->clients);
    clientele->count = 0;
    if (!clientele->index || !clientele->clients)
        return error_set(why, "no locked memory for %zu profiles: %s", profiles, strerror(errno));
    envelope_gate_key(clientele->gate, server_public);
    memcpy(clientele->server_public, server_public, KEY_SIZE);
    return true;
}

struct client *clientele_find(const struct clientele *clientele,
                              const uint8_t key_id[static KEY_ID_SIZE])
{
    struct search at = search_for(clientele, key_id);
    uint32_t entry;

    for (; (entry = clientele->index[at.place]) != 0; at.place = (at.place + 1) & clientele->mask) {
        struct client *client = &clientele->clients[(entry & clientele->mask) - 1];

        if ((entry & ~clientele->mask) == at.tag &&
            memcmp(client->key_id, key_id, KEY_ID_SIZE) == 0)
            return client;
    }
    return NULL;
}

bool clientele_counter_is_repeat(const struct client *client, uint64_t counter)
{
    if (counter == 0)
        return false; /* unused places of the two arrays are 0, too */
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (client->counters[i] == counter)
            return true;
    for (size_t i = 0; i < CLIENTELE_ANSWERED; i++)
        if (client->answered[i] == counter)
            return true;
    return false;
}

bool clientele_counter_is_new(const struct client *client, uint64_t counter)
{
    uint64_t lowest = UINT64_MAX;

    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (client->counters[i] < lowest)
            lowest = client->counters[i];
    return counter > lowest && !clientele_counter_is_repeat(client, counter);
}

void clientele_learn(struct client *client, uint64_t counter,
                     const uint64_t counters[static MARK_COUNTERS])
{
    if (counter != 0) {
        client->answered[client->next_answered] = counter;
        client->next_answered = (uint8_t)((client->next_answered + 1) % CLIENTELE_ANSWERED);
    }
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (counters[i] == 0)
            return;
    memcpy(client->counters, counters, sizeof client->counters);
}

/* When the bucket will be full again if it gives `price` tokens now. */
static int64_t full_after(const struct bucket *bucket, uint32_t price, int64_t now)
{
    return (bucket->full > now ? bucket->full : now) + (int64_t)price * TOKEN_MS;
}

static bool has_tokens(const struct bucket *bucket, uint32_t price, int64_t now)
{
    return full_after(bucket, price, now) - now <= (int64_t)BURST * TOKEN_MS;
}

bool clientele_has_token(const struct bucket *bucket, int64_t now)
{
    return has_tokens(bucket, 1, now);
}

bool clientele_is_full(const struct bucket *bucket, int64_t now)
{
    return bucket->full <= now;
}

bool clientele_take_tokens(struct bucket *bucket, uint32_t price, int64_t now)
{
    if (!has_tokens(bucket, price, now))
        return false;
    bucket->full = full_after(bucket, price, now);
    return true;
}

void clientele_return_tokens(struct bucket *bucket, uint32_t price)
{
    bucket->full -= (int64_t)price * TOKEN_MS;
}
