#include "roster.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

enum {
    TOKEN = 1000, /* in thousandths */
    BURST = 32,
    PER_SECOND = 8,
};

static size_t first_place(const struct roster *roster, const uint8_t *key_id)
{
    uint64_t id;

    memcpy(&id, key_id, sizeof id); /* as good as random: it is a hash */
    return id & roster->mask;
}

/* The client's place, or the empty one where it would be. The table is never
 * more than half full, so there is an end. */
static struct client *place_of(const struct roster *roster, const uint8_t *key_id)
{
    size_t i = first_place(roster, key_id);

    while (roster->table[i].used && memcmp(roster->table[i].key_id, key_id, KEY_ID_SIZE) != 0)
        i = (i + 1) & roster->mask;
    return &roster->table[i];
}

static void add(struct roster *roster, const struct profile *profile)
{
    struct client *client = place_of(roster, profile->key_id);

    client->used = true;
    memcpy(client->key_id, profile->key_id, KEY_ID_SIZE);
    memcpy(client->envelope_key, profile->envelope_key, KEY_SIZE);
    memcpy(client->public_key, profile->public_key, KEY_SIZE);
    client->port = profile->port;
}

bool roster_create(struct roster *roster, const struct config *config, struct error *why)
{
    size_t places = 2;

    while (places < config->profile_count * 2)
        places *= 2;
    roster->mask = places - 1;
    roster->table = sodium_allocarray(places, sizeof *roster->table);
    if (!roster->table)
        return error_set(why, "no locked memory for %zu profiles: %s", config->profile_count,
                         strerror(errno));
    memset(roster->table, 0, places * sizeof *roster->table);
    envelope_gate_key(roster->gate, config->server_public);
    memcpy(roster->server_public, config->server_public, KEY_SIZE);
    for (size_t i = 0; i < config->profile_count; i++)
        add(roster, &config->profiles[i]);
    return true;
}

struct client *roster_find(const struct roster *roster, const uint8_t key_id[static KEY_ID_SIZE])
{
    struct client *client = place_of(roster, key_id);

    return client->used ? client : NULL;
}

bool roster_counter_is_repeat(const struct client *client, uint64_t counter)
{
    if (counter == 0)
        return false; /* places that hold nothing yet are 0, too */
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (client->counters[i] == counter)
            return true;
    for (size_t i = 0; i < ROSTER_PENDING; i++)
        if (client->pending[i] == counter)
            return true;
    return false;
}

bool roster_counter_is_new(const struct client *client, uint64_t counter)
{
    uint64_t lowest = UINT64_MAX;

    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (client->counters[i] < lowest)
            lowest = client->counters[i];
    return counter > lowest && !roster_counter_is_repeat(client, counter);
}

void roster_note_pending(struct client *client, uint64_t counter)
{
    client->pending[client->next_pending] = counter;
    client->next_pending = (uint8_t)((client->next_pending + 1) % ROSTER_PENDING);
}

void roster_learn(struct client *client, const uint64_t counters[static MARK_COUNTERS])
{
    for (size_t i = 0; i < MARK_COUNTERS; i++)
        if (counters[i] == 0)
            return; /* the helper vouches for nothing: the signature was wrong */
    memcpy(client->counters, counters, sizeof client->counters);
}

/* In thousandths: a millisecond earns PER_SECOND of them. */
static uint32_t tokens_at(const struct bucket *bucket, int64_t now)
{
    int64_t full = (int64_t)BURST * TOKEN;
    int64_t tokens = bucket->tokens + (now - bucket->filled) * PER_SECOND;

    return (uint32_t)(tokens > full || tokens < 0 ? full : tokens);
}

bool roster_has_token(const struct bucket *bucket, int64_t now)
{
    return tokens_at(bucket, now) >= TOKEN;
}

bool roster_take_tokens(struct bucket *bucket, uint32_t price, int64_t now)
{
    bucket->tokens = tokens_at(bucket, now);
    bucket->filled = now;
    if (bucket->tokens < price * TOKEN)
        return false;
    bucket->tokens -= price * TOKEN;
    return true;
}
