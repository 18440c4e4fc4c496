#include "clientkeys.h"

#include <pthread.h>

#include "keys.h"

/* A tenth of a millisecond for each profile is nearly all that a start with thousands of
 * them takes. */
enum { SHARES = 4, SHARED_FROM = 200 /* profiles */ };

struct share {
    struct profile *profiles;
    size_t count;
    size_t made; /* how many have their key; if there are more, the next one's is unusable */
    const struct server_key *server;
};

static bool make_key(struct profile *p, const struct server_key *server)
{
    uint8_t point[KEY_SIZE];

    return key_convert_public(point, p->public_key) &&
           envelope_key_of_server(p->envelope_key, server, p->public_key, point,
                                  p->has_preshared ? p->envelope_key : NULL);
}

static void *make_share(void *of)
{
    struct share *share = of;

    while (share->made < share->count && make_key(&share->profiles[share->made], share->server))
        share->made++;
    return NULL;
}

/* Where no thread can be had, its share is this one's. */
static void make_shares(struct share shares[static SHARES])
{
    pthread_t threads[SHARES];
    bool apart[SHARES];

    for (size_t i = 0; i < SHARES; i++) {
        apart[i] = pthread_create(&threads[i], NULL, make_share, &shares[i]) == 0;
        if (!apart[i])
            make_share(&shares[i]);
    }
    for (size_t i = 0; i < SHARES; i++)
        if (apart[i])
            pthread_join(threads[i], NULL);
}

static void deal_out(struct share shares[static SHARES], struct profile *profiles, size_t count,
                     const struct server_key *server)
{
    size_t dealt = 0;

    for (size_t i = 0; i < SHARES; i++) {
        size_t end = count * (i + 1) / SHARES;

        shares[i] = (struct share){
            .profiles = profiles + dealt, .count = end - dealt, .server = server};
        dealt = end;
    }
}

static bool make_together(struct profile *profiles, size_t count, const struct server_key *server,
                          size_t *unusable)
{
    struct share shares[SHARES];

    deal_out(shares, profiles, count, server);
    make_shares(shares);
    for (size_t i = 0; i < SHARES; i++) {
        if (shares[i].made == shares[i].count)
            continue;
        *unusable = (size_t)(shares[i].profiles - profiles) + shares[i].made;
        return false;
    }
    return true;
}

bool clientkeys_make(struct profile *profiles, size_t count, const struct server_key *server,
                     size_t *unusable)
{
    struct share all = {.profiles = profiles, .count = count, .server = server};

    if (count >= SHARED_FROM)
        return make_together(profiles, count, server, unusable);
    make_share(&all);
    *unusable = all.made;
    return all.made == count;
}
