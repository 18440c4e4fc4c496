#include "check.h"

#include <sodium.h>

#include "daemon/sniffer/clientele.h"

enum { MANY = 1024, FULL = 10000, BURST = 32 };

static struct sniffer_profile profiles[FULL];

static void set_key_id(uint8_t *key_id, uint64_t id)
{
    memcpy(key_id, &id, KEY_ID_SIZE);
}

/* Which bits of a key id are the client's number, the others being those of `rest`. Of
 * MANY clients the low eleven bits choose the place in the index, where searches begin;
 * the uppermost 21 are in the entry. */
static const struct series {
    const char *name;
    unsigned shift;
    uint64_t rest;
} series[] = {
    {"each has a place of its own", 0, 0},
    {"all want the first place", 48, 0},
    {"all want the last place, and go round", 48, UINT64_MAX},
    {"all have the same entry but for their numbers", 32, 0},
    {"all have the same entry, and go round", 32, UINT64_MAX},
};

static uint64_t id_in(const struct series *of, size_t number)
{
    return (uint64_t)number << of->shift ^ of->rest;
}

/* Of `count` profiles whose key ids are there already. */
static void make_clientele(struct clientele *clientele, size_t count)
{
    uint8_t server_public[KEY_SIZE];
    struct error why;

    for (size_t i = 0; i < count; i++) {
        struct sniffer_profile *p = &profiles[i];

        p->port = (uint16_t)(1 + i);
        randombytes_buf(p->envelope_key, KEY_SIZE);
        randombytes_buf(p->signer.public_key, KEY_SIZE);
    }
    randombytes_buf(server_public, KEY_SIZE);
    assert_true(clientele_create(clientele, count, server_public, &why));
    assert_memory_equal(clientele->server_public, server_public, KEY_SIZE);
    for (size_t i = 0; i < count; i++)
        clientele_add(clientele, &profiles[i]);
}

static void make_series(struct clientele *clientele, const struct series *of, size_t count)
{
    for (size_t i = 0; i < count; i++)
        set_key_id(profiles[i].key_id, id_in(of, i));
    make_clientele(clientele, count);
}

static void free_clientele(struct clientele *clientele)
{
    sodium_free(clientele->index);
    sodium_free(clientele->clients);
}

static void check_all_are_found(const struct clientele *clientele, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct client *client = clientele_find(clientele, profiles[i].key_id);

        assert_non_null(client);
        assert_memory_equal(client->key_id, profiles[i].key_id, KEY_ID_SIZE);
        assert_memory_equal(client->envelope_key, profiles[i].envelope_key, KEY_SIZE);
        assert_memory_equal(&client->signer, &profiles[i].signer, sizeof client->signer);
        assert_int_equal(client->port, profiles[i].port);
    }
}

static bool is_found(const struct clientele *clientele, uint64_t id)
{
    uint8_t key_id[KEY_ID_SIZE];

    set_key_id(key_id, id);
    return clientele_find(clientele, key_id) != NULL;
}

static void clients_are_found_and_strangers_are_not(void **state)
{
    struct clientele clientele;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(series); i++) {
        make_series(&clientele, &series[i], MANY);
        check_all_are_found(&clientele, MANY);
        for (size_t number = MANY; number < (size_t)2 * MANY; number++)
            if (is_found(&clientele, id_in(&series[i], number)))
                fail_msg("%s: number %zu is nobody's, and found", series[i].name, number);
        free_clientele(&clientele);
    }
}

/* Where the index has as few places as it may. */
static void a_few_clients_are_found(void **state)
{
    struct clientele clientele;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(series); i++)
        for (size_t count = 0; count <= 9; count++) {
            make_series(&clientele, &series[i], count);
            check_all_are_found(&clientele, count);
            for (size_t number = count; number < 100; number++)
                assert_false(is_found(&clientele, id_in(&series[i], number)));
            free_clientele(&clientele);
        }
}

static int compare_key_ids(const void *a, const void *b)
{
    return memcmp(a, b, KEY_ID_SIZE);
}

/* Key ids as they are in life. Whoever differs in one bit is another. */
static void ten_thousand_are_found(void **state)
{
    static uint8_t ids[FULL][KEY_ID_SIZE];
    struct clientele clientele;

    (void)state;
    randombytes_buf(ids, sizeof ids);
    for (size_t i = 0; i < FULL; i++)
        memcpy(profiles[i].key_id, ids[i], KEY_ID_SIZE);
    qsort(ids, FULL, KEY_ID_SIZE, compare_key_ids);
    make_clientele(&clientele, FULL);
    check_all_are_found(&clientele, FULL);
    for (size_t i = 0; i < FULL; i++)
        for (unsigned bit = 0; bit < 64; bit++) {
            uint8_t other[KEY_ID_SIZE];

            memcpy(other, profiles[i].key_id, KEY_ID_SIZE);
            other[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (!bsearch(other, ids, FULL, KEY_ID_SIZE, compare_key_ids))
                assert_null(clientele_find(&clientele, other));
        }
    free_clientele(&clientele);
}

/* What the header promises of memory: clients lie close, and the index is small. */
static void a_clientele_is_small(void **state)
{
    struct clientele clientele;

    (void)state;
    assert_true(sizeof *clientele.clients <= 256);
    for (size_t count = 1; count <= MANY; count++) {
        make_series(&clientele, &series[0], count);
        assert_true(clientele.mask + 1 >= 2 * count && clientele.mask + 1 < 4 * count);
        free_clientele(&clientele);
    }
}

/* ---- counters ----------------------------------------------------------- */

static const uint64_t learnt[MARK_COUNTERS] = {100, 110, 120, 130, 140, 150, 160, 170};

static void a_fresh_client_may_use_any_counter(void **state)
{
    struct client client = {0};

    (void)state;
    assert_true(clientele_counter_is_new(&client, 1));
    assert_true(clientele_counter_is_new(&client, UINT64_MAX));
    assert_false(clientele_counter_is_new(&client, 0));
}

static void learnt_counters_are_spent(void **state)
{
    struct client client = {0};

    (void)state;
    clientele_learn(&client, 0, learnt);
    for (size_t i = 0; i < MARK_COUNTERS; i++) {
        assert_false(clientele_counter_is_new(&client, learnt[i]));
        assert_true(clientele_counter_is_new(&client, learnt[i] + 1)); /* overtaken */
    }
    assert_false(clientele_counter_is_new(&client, 99));
    assert_false(clientele_counter_is_new(&client, 1));
    assert_true(clientele_counter_is_new(&client, 171));
}

/* The reply to a badly signed request vouches for nothing. */
static void zeros_teach_nothing(void **state)
{
    static const uint64_t zeros[MARK_COUNTERS] = {0};
    struct client client = {0};

    (void)state;
    clientele_learn(&client, 0, learnt);
    clientele_learn(&client, 0, zeros);
    assert_memory_equal(client.counters, learnt, sizeof learnt);
}

static void answered_counters_are_not_new(void **state)
{
    struct client client = {0};

    (void)state;
    for (uint64_t c = 200; c < 200 + CLIENTELE_ANSWERED; c++) {
        assert_true(clientele_counter_is_new(&client, c));
        clientele_learn(&client, c, learnt);
        assert_false(clientele_counter_is_new(&client, c));
    }
    for (uint64_t c = 200; c < 200 + CLIENTELE_ANSWERED; c++)
        assert_false(clientele_counter_is_new(&client, c));
    /* A ninth takes the place of the first; the helper judges that one. */
    clientele_learn(&client, 300, learnt);
    assert_true(clientele_counter_is_new(&client, 200));
    assert_false(clientele_counter_is_new(&client, 201));
    assert_false(clientele_counter_is_new(&client, 300));
}

/* ---- token buckets ------------------------------------------------------ */

static void a_burst_is_limited(void **state)
{
    struct bucket bucket = {0};
    const int64_t now = 1000000;

    (void)state;
    for (int i = 0; i < BURST; i++)
        assert_true(clientele_take_tokens(&bucket, 1, now));
    assert_false(clientele_take_tokens(&bucket, 1, now));
}

static void tokens_come_back_at_eight_a_second(void **state)
{
    struct bucket bucket = {0};
    const int64_t now = 1000000;

    (void)state;
    assert_true(clientele_take_tokens(&bucket, BURST, now));
    assert_false(clientele_take_tokens(&bucket, 1, now + 124));
    assert_true(clientele_take_tokens(&bucket, 1, now + 125));
    assert_false(clientele_take_tokens(&bucket, 1, now + 125));
    for (int i = 0; i < 8; i++)
        assert_true(clientele_take_tokens(&bucket, 1, now + 1125));
    assert_false(clientele_take_tokens(&bucket, 1, now + 1125));
}

static void what_is_returned_can_be_taken_again(void **state)
{
    const int64_t now = 1000000, pauses[] = {0, 100, 125, 5000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pauses); i++) {
        struct bucket bucket = {0};

        assert_true(clientele_is_full(&bucket, now));
        assert_true(clientele_take_tokens(&bucket, 1, now));
        assert_false(clientele_is_full(&bucket, now));
        clientele_return_tokens(&bucket, 1);
        assert_true(clientele_is_full(&bucket, now + pauses[i]));
        assert_true(clientele_take_tokens(&bucket, BURST, now + pauses[i]));
        assert_false(clientele_take_tokens(&bucket, 1, now + pauses[i]));
    }
}

/* Asking often, each time in vain, must not lose what is earned meanwhile. */
static void asking_in_vain_costs_nothing(void **state)
{
    struct bucket bucket = {0};
    int64_t now = 1000000;

    (void)state;
    assert_true(clientele_take_tokens(&bucket, BURST, now));
    for (int ms = 1; ms < 125; ms++)
        assert_false(clientele_take_tokens(&bucket, 1, now + ms));
    assert_true(clientele_take_tokens(&bucket, 1, now + 125));
}

static void a_long_pause_earns_one_burst(void **state)
{
    struct bucket bucket = {0};
    const int64_t pauses[] = {4000, 86400000, (int64_t)86400000 * 365 * 50};
    int64_t now = 1000000;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pauses); i++) {
        now += pauses[i];
        assert_true(clientele_take_tokens(&bucket, BURST, now));
        assert_false(clientele_take_tokens(&bucket, 1, now));
    }
}

static void a_price_is_taken_whole_or_not(void **state)
{
    struct bucket bucket = {0};
    const int64_t now = 1000000;

    (void)state;
    for (int i = 0; i < BURST / 8; i++)
        assert_true(clientele_take_tokens(&bucket, 8, now));
    assert_false(clientele_take_tokens(&bucket, 8, now + 999));
    assert_true(clientele_take_tokens(&bucket, 7, now + 999));
    assert_false(clientele_take_tokens(&bucket, 1, now + 999));
}

static int start(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

/* Places that hold no counter yet are 0, too. */
static void a_counter_of_zero_is_no_repetition(void **state)
{
    static const struct client client;

    (void)state;
    assert_false(clientele_counter_is_repeat(&client, 0));
    assert_false(clientele_counter_is_new(&client, 0));
    assert_true(clientele_counter_is_new(&client, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_found_and_strangers_are_not),
        cmocka_unit_test(a_few_clients_are_found),
        cmocka_unit_test(ten_thousand_are_found),
        cmocka_unit_test(a_clientele_is_small),
        cmocka_unit_test(a_fresh_client_may_use_any_counter),
        cmocka_unit_test(learnt_counters_are_spent),
        cmocka_unit_test(zeros_teach_nothing),
        cmocka_unit_test(answered_counters_are_not_new),
        cmocka_unit_test(a_burst_is_limited),
        cmocka_unit_test(tokens_come_back_at_eight_a_second),
        cmocka_unit_test(what_is_returned_can_be_taken_again),
        cmocka_unit_test(asking_in_vain_costs_nothing),
        cmocka_unit_test(a_long_pause_earns_one_burst),
        cmocka_unit_test(a_price_is_taken_whole_or_not),
        cmocka_unit_test(a_counter_of_zero_is_no_repetition),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
