#include "check.h"

#include <sodium.h>

#include "roster.h"

enum { MANY = 1024, BURST = 32 }; /* as many as a table's places might be */

static struct profile profiles[MANY];

static void make_roster(struct roster *roster, size_t count)
{
    struct config config = {.profiles = profiles, .profile_count = count};
    struct error why;

    for (size_t i = 0; i < count; i++) {
        struct profile *p = &profiles[i];

        *p = (struct profile){.port = (uint16_t)(1 + i)};
        memset(p->envelope_key, (int)i & 0xff, KEY_SIZE);
        memset(p->public_key, (int)(i + 1) & 0xff, KEY_SIZE);
    }
    randombytes_buf(config.server_public, KEY_SIZE);
    /* Nothing in the low bits: all of them want the same place. */
    for (size_t i = 0; i < count; i++) {
        profiles[i].key_id[6] = (uint8_t)(i >> 8);
        profiles[i].key_id[7] = (uint8_t)i;
    }
    assert_true(roster_create(roster, &config, &why));
}

static void check_all_are_found(const struct roster *roster, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct client *client = roster_find(roster, profiles[i].key_id);

        assert_non_null(client);
        assert_memory_equal(client->key_id, profiles[i].key_id, KEY_ID_SIZE);
        assert_memory_equal(client->envelope_key, profiles[i].envelope_key, KEY_SIZE);
        assert_memory_equal(client->public_key, profiles[i].public_key, KEY_SIZE);
        assert_int_equal(client->port, profiles[i].port);
    }
}

static void colliding_clients_are_all_found(void **state)
{
    struct roster roster;

    (void)state;
    make_roster(&roster, MANY);
    check_all_are_found(&roster, MANY);
    sodium_free(roster.table);
}

static void strangers_are_not_found(void **state)
{
    uint8_t key_id[KEY_ID_SIZE] = {[6] = 0xff, [7] = 0xff};
    struct roster roster;

    (void)state;
    make_roster(&roster, MANY);
    assert_null(roster_find(&roster, key_id)); /* collides with all of them */
    for (int i = 0; i < 1000; i++) {
        randombytes_buf(key_id, sizeof key_id);
        key_id[0] |= 1; /* nobody's */
        assert_null(roster_find(&roster, key_id));
    }
    sodium_free(roster.table);
}

static void an_empty_roster_finds_nobody(void **state)
{
    const uint8_t zeros[KEY_ID_SIZE] = {0};
    struct roster roster;

    (void)state;
    make_roster(&roster, 0);
    assert_null(roster_find(&roster, zeros));
    sodium_free(roster.table);
    make_roster(&roster, 1);
    assert_non_null(roster_find(&roster, zeros));
    sodium_free(roster.table);
}

/* ---- counters ----------------------------------------------------------- */

static const uint64_t learnt[MARK_COUNTERS] = {100, 110, 120, 130, 140, 150, 160, 170};

static void a_fresh_client_may_use_any_counter(void **state)
{
    struct client client = {0};

    (void)state;
    assert_true(roster_counter_is_new(&client, 1));
    assert_true(roster_counter_is_new(&client, UINT64_MAX));
    assert_false(roster_counter_is_new(&client, 0));
}

static void learnt_counters_are_spent(void **state)
{
    struct client client = {0};

    (void)state;
    roster_learn(&client, learnt);
    for (size_t i = 0; i < MARK_COUNTERS; i++) {
        assert_false(roster_counter_is_new(&client, learnt[i]));
        assert_true(roster_counter_is_new(&client, learnt[i] + 1)); /* overtaken */
    }
    assert_false(roster_counter_is_new(&client, 99));
    assert_false(roster_counter_is_new(&client, 1));
    assert_true(roster_counter_is_new(&client, 171));
}

/* The reply to a badly signed request vouches for nothing. */
static void zeros_teach_nothing(void **state)
{
    static const uint64_t zeros[MARK_COUNTERS] = {0};
    struct client client = {0};

    (void)state;
    roster_learn(&client, learnt);
    roster_learn(&client, zeros);
    assert_memory_equal(client.counters, learnt, sizeof learnt);
}

static void pending_counters_are_not_new(void **state)
{
    struct client client = {0};

    (void)state;
    roster_learn(&client, learnt);
    for (uint64_t c = 200; c < 200 + ROSTER_PENDING; c++) {
        assert_true(roster_counter_is_new(&client, c));
        roster_note_pending(&client, c);
        assert_false(roster_counter_is_new(&client, c));
    }
    for (uint64_t c = 200; c < 200 + ROSTER_PENDING; c++)
        assert_false(roster_counter_is_new(&client, c));
    /* A ninth takes the place of the first; the helper judges that one. */
    roster_note_pending(&client, 300);
    assert_true(roster_counter_is_new(&client, 200));
    assert_false(roster_counter_is_new(&client, 201));
    assert_false(roster_counter_is_new(&client, 300));
}

/* ---- token buckets ------------------------------------------------------ */

static void a_burst_is_limited(void **state)
{
    struct bucket bucket = {0};
    const int64_t now = 1000000;

    (void)state;
    for (int i = 0; i < BURST; i++)
        assert_true(roster_take_tokens(&bucket, 1, now));
    assert_false(roster_take_tokens(&bucket, 1, now));
}

static void tokens_come_back_at_eight_a_second(void **state)
{
    struct bucket bucket = {0};
    const int64_t now = 1000000;

    (void)state;
    assert_true(roster_take_tokens(&bucket, BURST, now));
    assert_false(roster_take_tokens(&bucket, 1, now + 124));
    assert_true(roster_take_tokens(&bucket, 1, now + 125));
    assert_false(roster_take_tokens(&bucket, 1, now + 125));
    for (int i = 0; i < 8; i++)
        assert_true(roster_take_tokens(&bucket, 1, now + 1125));
    assert_false(roster_take_tokens(&bucket, 1, now + 1125));
}

/* Asking often, each time in vain, must not lose what is earned meanwhile. */
static void asking_in_vain_costs_nothing(void **state)
{
    struct bucket bucket = {0};
    int64_t now = 1000000;

    (void)state;
    assert_true(roster_take_tokens(&bucket, BURST, now));
    for (int ms = 1; ms < 125; ms++)
        assert_false(roster_take_tokens(&bucket, 1, now + ms));
    assert_true(roster_take_tokens(&bucket, 1, now + 125));
}

static void a_long_pause_earns_one_burst(void **state)
{
    struct bucket bucket = {0};
    const int64_t pauses[] = {4000, 86400000, (int64_t)86400000 * 365 * 50};
    int64_t now = 1000000;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pauses); i++) {
        now += pauses[i];
        assert_true(roster_take_tokens(&bucket, BURST, now));
        assert_false(roster_take_tokens(&bucket, 1, now));
    }
}

static void a_price_is_taken_whole_or_not(void **state)
{
    struct bucket bucket = {0};
    const int64_t now = 1000000;

    (void)state;
    for (int i = 0; i < BURST / 8; i++)
        assert_true(roster_take_tokens(&bucket, 8, now));
    assert_false(roster_take_tokens(&bucket, 8, now + 999));
    assert_true(roster_take_tokens(&bucket, 7, now + 999));
    assert_false(roster_take_tokens(&bucket, 1, now + 999));
}

static int start(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colliding_clients_are_all_found),
        cmocka_unit_test(strangers_are_not_found),
        cmocka_unit_test(an_empty_roster_finds_nobody),
        cmocka_unit_test(a_fresh_client_may_use_any_counter),
        cmocka_unit_test(learnt_counters_are_spent),
        cmocka_unit_test(zeros_teach_nothing),
        cmocka_unit_test(pending_counters_are_not_new),
        cmocka_unit_test(a_burst_is_limited),
        cmocka_unit_test(tokens_come_back_at_eight_a_second),
        cmocka_unit_test(asking_in_vain_costs_nothing),
        cmocka_unit_test(a_long_pause_earns_one_burst),
        cmocka_unit_test(a_price_is_taken_whole_or_not),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
